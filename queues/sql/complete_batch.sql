-- What is known of a batch once its jobs are in.
UPDATE queues_batch
SET total = total + %(total)s::bigint, first_job_id = least(first_job_id, %(first_job)s::bigint),
    last_job_id = greatest(last_job_id, %(last_job)s::bigint), content_hash = coalesce(nullif(%(content_hash)s, ''), content_hash),
    sealed_at = CASE WHEN %(sealed)s THEN clock_timestamp() END
WHERE id = %(batch)s::bigint AND state = 'running' AND sealed_at IS NULL
