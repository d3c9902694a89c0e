-- The payloads of the jobs whose ids lie in some ranges, hot or archived, in the order of the jobs. In one statement,
-- so that a job on its way into the archive is seen once.
SELECT x.id, x.payload, x.priority, x.deleted
FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS page(low, high)
CROSS JOIN LATERAL (
    SELECT j.id, j.payload::text AS payload, c.priority,
           coalesce(j.own_state = 'trashed', false) OR c.held_why = 'trashed' AS deleted
    FROM queues_job j JOIN queues_chunk c ON c.id = j.chunk_id
    WHERE j.id >= page.low AND j.id < page.high
    UNION ALL
    SELECT a.id, a.payload::text, a.priority, a.outcome = 'deleted'
    FROM queues_archivedjob a
    WHERE a.id >= page.low AND a.id < page.high
    OFFSET 0
) x
ORDER BY x.id
