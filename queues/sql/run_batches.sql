-- The batches of what a run holds. Once the run is lost, only its reaper changes that.
SELECT DISTINCT b.id, b.failure_mode, b.parent_id, b.stop_reason <> ''
FROM queues_chunk c JOIN queues_batch b ON b.id = c.batch_id
WHERE c.run_id = %(run)s::bigint AND c.state = 'leased'
ORDER BY b.id
