-- The chunks that a run holds, locked in order, as a claim returns them.
SELECT run_id, id, batch_id, handler, priority, extract(epoch FROM run_at)::float, size, succeeded, cancelled,
       bytes, first_id, span, job_ids, ended, losses, tries, solo, has_keys
FROM queues_chunk
WHERE run_id = %(run)s::bigint AND state = 'leased'
ORDER BY id
FOR UPDATE
