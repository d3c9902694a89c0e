-- Removes archived jobs, and what is recorded of them; those that were restored meanwhile stay, and those of batches that
-- are `kept`. How many.
WITH gone AS MATERIALIZED (
    DELETE FROM queues_archivedjob
    WHERE id = ANY(%(jobs)s::bigint[]) AND queue_id = %(queue)s::bigint AND finished_at < %(before)s::timestamptz
      AND (%(outcomes)s::text[] IS NULL OR outcome = ANY(%(outcomes)s::text[]))
      AND (batch_id = ANY(%(kept)s::bigint[])) IS NOT TRUE
    RETURNING id
),
tries AS (
    DELETE FROM queues_attempt WHERE job_id = ANY(ARRAY(SELECT id FROM gone))
),
results AS (
    DELETE FROM queues_jobresult WHERE job_id = ANY(ARRAY(SELECT id FROM gone))
)
SELECT count(*) FROM gone
