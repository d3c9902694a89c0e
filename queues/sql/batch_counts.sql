-- The jobs of a batch, and of its parts, by how they ended.
SELECT coalesce(sum(c.succeeded), 0)::bigint,
       coalesce(sum(c.size) FILTER (WHERE c.state = 'parked' AND c.held_why = 'dead'), 0)::bigint,
       coalesce(sum(c.cancelled), 0)::bigint
FROM queues_chunk c
WHERE c.batch_id = %(batch)s::bigint
   OR c.batch_id IN (SELECT id FROM queues_batch WHERE parent_id = %(batch)s::bigint)
