-- Queues with batches that are pending hand-over though nothing of them may be due, as when a process died between
-- sending and marking. The oldest such batches only: the partial index is read in order, however many there are.
SELECT DISTINCT x.queue_id
FROM (
    SELECT b.queue_id FROM queues_batch b
    WHERE b.queued_at IS NULL AND b.state = 'running' AND b.sealed_at IS NOT NULL
    ORDER BY b.created_at
    LIMIT %(limit)s::int
) x
ORDER BY x.queue_id
