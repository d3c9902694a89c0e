-- The chunks of a batch, and of its parts, that waited for an earlier stage get ready; where a person has paused the
-- batch meanwhile, they wait for that. They are due now at the earliest: the time before was not waiting for a worker.
WITH waiting AS (
    SELECT c.id, b.paused_at IS NOT NULL OR p.paused_at IS NOT NULL AS paused
    FROM queues_chunk c
    JOIN queues_batch b ON b.id = c.batch_id
    LEFT JOIN queues_batch p ON p.id = b.parent_id
    WHERE c.batch_id = ANY(ARRAY(
              SELECT m.id FROM queues_batch m WHERE m.id = %(batch)s::bigint OR m.parent_id = %(batch)s::bigint))
      AND c.state = 'held' AND c.held_why = 'stage'
    ORDER BY c.id
    FOR UPDATE OF c
)
UPDATE queues_chunk c
SET state = CASE WHEN w.paused THEN 'held' ELSE 'ready' END,
    held_why = CASE WHEN w.paused THEN 'paused' ELSE '' END,
    run_at = greatest(c.run_at, clock_timestamp())
FROM waiting w
WHERE c.id = w.id AND c.state = 'held' AND c.held_why = 'stage'
