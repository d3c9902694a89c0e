-- Ends the waiting chunks of stopping batches, locked in the order of their ids. What runs is not touched.
WITH waiting AS (
    SELECT id FROM queues_chunk
    WHERE batch_id = ANY(%(batches)s::bigint[]) AND state IN ('ready', 'held')
    ORDER BY id
    FOR UPDATE
)
UPDATE queues_chunk c
SET state = 'cancelled', held_why = '', cancelled = c.size - c.succeeded, finished_at = clock_timestamp()
FROM waiting
WHERE c.id = waiting.id AND c.state IN ('ready', 'held')
RETURNING c.id, c.size - c.succeeded, c.has_keys
