-- Held chunks of a batch get ready, when what held them is over.
WITH waiting AS (
    SELECT id FROM queues_chunk
    WHERE batch_id = %(batch)s::bigint AND state = 'held' AND held_why = %(why)s
    ORDER BY id
    FOR UPDATE
)
UPDATE queues_chunk c SET state = 'ready', held_why = ''
FROM waiting WHERE c.id = waiting.id AND c.state = 'held'
