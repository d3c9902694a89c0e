-- The failed tries of the jobs born in some ranges of ids, by cause, the most frequent first; with each the number of all
-- causes, tries and jobs. An attempt knows no batch: its job's place of birth does, and so does the index by job.
WITH try AS MATERIALIZED (
    SELECT a.id, a.job_id, a.fingerprint, a.error_class
    FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS r(low, high)
    CROSS JOIN LATERAL (
        SELECT id, job_id, fingerprint, error_class FROM queues_attempt
        WHERE job_id >= r.low AND job_id < r.high
        OFFSET 0
    ) a
    LIMIT %(limit)s::int
),
cause AS (
    SELECT fingerprint, error_class, count(*) AS tries, count(DISTINCT job_id) AS jobs, max(id) AS sample,
           count(*) OVER () AS causes
    FROM try
    GROUP BY fingerprint, error_class
    ORDER BY tries DESC, fingerprint, error_class
    LIMIT %(causes)s::int
)
SELECT c.fingerprint, c.error_class, left(a.message, 500), c.tries, c.jobs, a.job_id, c.causes,
       (SELECT count(*) FROM try), (SELECT count(DISTINCT job_id) FROM try)
FROM cause c JOIN queues_attempt a ON a.id = c.sample
ORDER BY c.tries DESC, c.fingerprint, c.error_class
