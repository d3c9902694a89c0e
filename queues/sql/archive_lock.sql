-- Holds the chunks of one round; those that another archiver holds, or has moved meanwhile, are left to it.
SELECT id, size FROM queues_chunk
WHERE id = ANY(%(chunks)s::bigint[]) AND state IN ('done', 'cancelled') AND archived_at IS NULL
ORDER BY id
FOR UPDATE SKIP LOCKED
