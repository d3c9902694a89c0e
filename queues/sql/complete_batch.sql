-- What is known of a batch once its jobs are in. Where somebody wants it told (a `source`), its entry for the activity
-- list is written by the same statement: a batch of a hundred jobs would notice another one.
WITH told AS (
    INSERT INTO queues_auditentry (actor, source, action, target, reason, outcome)
    SELECT %(actor)s::text, %(source)s::text, %(action)s::text, 'batch ' || %(batch)s::bigint, %(reason)s::text,
           %(outcome)s::jsonb
    WHERE %(source)s::text <> ''
)
UPDATE queues_batch
SET total = total + %(total)s::bigint, first_job_id = least(first_job_id, %(first_job)s::bigint),
    last_job_id = greatest(last_job_id, %(last_job)s::bigint), content_hash = coalesce(nullif(%(content_hash)s, ''), content_hash),
    sealed_at = CASE WHEN %(sealed)s THEN clock_timestamp() END
WHERE id = %(batch)s::bigint AND state = 'running' AND sealed_at IS NULL
