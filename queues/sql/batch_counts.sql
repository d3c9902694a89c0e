-- The jobs of a batch, and of its parts, by how they ended. The batches first, as an array: of `batch = x OR batch IN
-- (SELECT ...)` PostgreSQL makes a scan of all chunks. Dead letters that went to the archive have ended, and stay dead.
SELECT coalesce(sum(c.succeeded), 0)::bigint,
       coalesce(sum(c.size) FILTER (WHERE c.state IN ('parked', 'cancelled') AND c.held_why = 'dead'), 0)::bigint,
       coalesce(sum(c.cancelled) FILTER (WHERE c.held_why <> 'dead'), 0)::bigint
FROM queues_chunk c
WHERE c.batch_id = ANY(ARRAY(
    SELECT id FROM queues_batch WHERE id = %(batch)s::bigint OR parent_id = %(batch)s::bigint
))
