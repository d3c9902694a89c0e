-- Kept results. A job that ran twice keeps the result that was accepted, which is the later one.
INSERT INTO queues_jobresult (job_id, value, expires_at)
SELECT r.job, r.value::json, clock_timestamp() + make_interval(secs => %(seconds)s::float)
FROM unnest(%(jobs)s::bigint[], %(values)s::text[]) AS r(job, value)
ON CONFLICT (job_id) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
