-- What the archive holds of each queue by outcome: jobs, payload bytes, oldest and newest end, and whether these were
-- all. Of each queue the oldest rows up to a limit are read, in the order of an index: an archive has no end.
SELECT q.name, s.outcome, s.jobs, s.bytes, s.oldest, s.newest, s.seen <= %(limit)s::int
FROM queues_queue q
CROSS JOIN LATERAL (
    SELECT a.outcome, count(*) AS jobs, sum(octet_length(a.payload::text))::bigint AS bytes,
           min(a.finished_at) AS oldest, max(a.finished_at) AS newest, sum(count(*)) OVER () AS seen
    FROM (
        SELECT outcome, payload, finished_at FROM queues_archivedjob
        WHERE queue_id = q.id ORDER BY finished_at, id LIMIT %(limit)s::int + 1
    ) a
    GROUP BY a.outcome
) s
ORDER BY q.name, s.outcome
