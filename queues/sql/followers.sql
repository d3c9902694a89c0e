-- The batches that come after one and have not ended, each with its parts: what the end of that one may touch.
-- By the unique index of the links, which begins with `before`; nearly always there is nothing to find.
SELECT m.id
FROM queues_batchlink l
JOIN queues_batch a ON a.id = l.after_id AND a.state = 'running'
CROSS JOIN LATERAL (
    SELECT a.id
    UNION ALL
    SELECT p.id FROM queues_batch p WHERE p.parent_id = a.id
) m
WHERE l.before_id = %(batch)s::bigint
GROUP BY m.id
ORDER BY m.id
