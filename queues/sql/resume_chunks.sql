-- Chunks that a pause of their batches has held get ready. They are due now at the earliest: the time before was not
-- waiting for a worker.
WITH waiting AS (
    SELECT id FROM queues_chunk
    WHERE batch_id = ANY(%(batches)s::bigint[]) AND state = 'held' AND held_why = 'paused'
    ORDER BY id
    FOR UPDATE
)
UPDATE queues_chunk c SET state = 'ready', held_why = '', run_at = greatest(c.run_at, clock_timestamp())
FROM waiting
WHERE c.id = waiting.id AND c.state = 'held' AND c.held_why = 'paused'
RETURNING c.queue_id, c.size - c.succeeded - c.cancelled
