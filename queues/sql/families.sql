-- The batches that stop together with these: their parents and all parts of those.
SELECT f.id
FROM queues_batch b
JOIN queues_batch f ON f.id = coalesce(b.parent_id, b.id) OR f.parent_id = coalesce(b.parent_id, b.id)
WHERE b.id = ANY(%(batches)s::bigint[])
GROUP BY f.id
ORDER BY f.id
