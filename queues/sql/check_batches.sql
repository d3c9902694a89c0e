-- One page of batches beside the sums over their chunks and parts, of one snapshot.
WITH page AS MATERIALIZED (
    SELECT * FROM queues_batch WHERE id > %(after)s::bigint ORDER BY id LIMIT %(limit)s::int
)
SELECT b.id, b.state, b.total, b.is_parent, b.succeeded, b.dead, b.cancelled,
       c.jobs, c.succeeded, c.unfinished, p.jobs, p.first, p.unfinished
FROM page b
CROSS JOIN LATERAL (
    SELECT coalesce(sum(size), 0)::bigint AS jobs, coalesce(sum(succeeded), 0)::bigint AS succeeded,
           count(*) FILTER (WHERE state IN ('ready', 'held', 'leased')) AS unfinished
    FROM queues_chunk WHERE batch_id = b.id
) c
CROSS JOIN LATERAL (
    SELECT coalesce(sum(total), 0)::bigint AS jobs, min(part) AS first,
           count(*) FILTER (WHERE state = 'running') AS unfinished
    FROM queues_batch WHERE parent_id = b.id
) p
ORDER BY b.id
