-- Ready chunks of paused batches are held, locked in the order of their ids. What runs goes on; what waits for another reason
-- goes on waiting for that.
WITH waiting AS (
    SELECT id FROM queues_chunk
    WHERE batch_id = ANY(%(batches)s::bigint[]) AND state = 'ready'
    ORDER BY id
    FOR UPDATE
)
UPDATE queues_chunk c SET state = 'held', held_why = 'paused'
FROM waiting
WHERE c.id = waiting.id AND c.state = 'ready'
RETURNING c.size - c.succeeded - c.cancelled
