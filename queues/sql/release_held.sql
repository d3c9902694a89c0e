-- Held chunks of a batch get ready, when what held them is over; where a person has paused the batch, they wait for that.
WITH waiting AS (
    SELECT c.id, b.paused_at IS NOT NULL AS paused
    FROM queues_chunk c JOIN queues_batch b ON b.id = c.batch_id
    WHERE c.batch_id = %(batch)s::bigint AND c.state = 'held' AND c.held_why = %(why)s
    ORDER BY c.id
    FOR UPDATE OF c
)
UPDATE queues_chunk c
SET state = CASE WHEN w.paused THEN 'held' ELSE 'ready' END, held_why = CASE WHEN w.paused THEN 'paused' ELSE '' END
FROM waiting w WHERE c.id = w.id AND c.state = 'held'
