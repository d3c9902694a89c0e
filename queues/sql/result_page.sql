-- Kept results of the jobs whose ids lie in some ranges, in the order of the jobs. Only those that have not expired.
SELECT r.job_id, r.value
FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS page(low, high)
CROSS JOIN LATERAL (
    SELECT r.job_id, r.value::text AS value
    FROM queues_jobresult r
    WHERE r.job_id >= page.low AND r.job_id < page.high AND r.expires_at > clock_timestamp()
    OFFSET 0
) r
ORDER BY r.job_id
