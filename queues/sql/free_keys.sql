-- The unique keys of jobs that have ended.
DELETE FROM queues_jobkey WHERE job_id = ANY(%(jobs)s::bigint[])
