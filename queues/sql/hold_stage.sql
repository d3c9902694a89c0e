-- Chunks of a batch and of its parts, ready or held for another reason than a pause, wait for an earlier stage.
WITH waiting AS (
    SELECT c.id
    FROM queues_chunk c
    WHERE c.batch_id = ANY(ARRAY(
              SELECT m.id FROM queues_batch m WHERE m.id = %(batch)s::bigint OR m.parent_id = %(batch)s::bigint))
      AND c.state = %(state)s AND c.held_why = %(why)s
    ORDER BY c.id
    FOR UPDATE
)
UPDATE queues_chunk c SET state = 'held', held_why = 'stage'
FROM waiting w
WHERE c.id = w.id AND c.state = %(state)s AND c.held_why = %(why)s
