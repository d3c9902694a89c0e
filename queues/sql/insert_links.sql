-- Links to one batch from those before it. A link that exists is left as it is.
INSERT INTO queues_batchlink (before_id, after_id)
SELECT b, %(after)s::bigint FROM unnest(%(before)s::bigint[]) AS b ORDER BY b
ON CONFLICT (before_id, after_id) DO NOTHING
