-- Removes held chunks with everything of their jobs, hot or archived; for each batch what it has lost. A statement after
-- the lock, hence with a snapshot in which every job is where its chunk says. Members are found by their place of birth.
WITH chunk AS MATERIALIZED (
    SELECT id, first_id, span, job_ids FROM queues_chunk WHERE id = ANY(%(chunks)s::bigint[])
),
member AS MATERIALIZED (
    SELECT j.id
    FROM chunk c
    CROSS JOIN LATERAL (
        SELECT j.id FROM queues_job j WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id
        UNION ALL
        SELECT j.id FROM queues_job j WHERE j.id = ANY(c.job_ids) AND j.chunk_id = c.id
        UNION ALL
        SELECT a.id FROM queues_archivedjob a
        WHERE a.id >= c.first_id AND a.id < c.first_id + c.span AND a.chunk_id = c.id
        UNION ALL
        SELECT a.id FROM queues_archivedjob a WHERE a.id = ANY(c.job_ids) AND a.chunk_id = c.id
        OFFSET 0
    ) j
),
hot AS (DELETE FROM queues_job WHERE id = ANY(ARRAY(SELECT id FROM member))),
archived AS (DELETE FROM queues_archivedjob WHERE id = ANY(ARRAY(SELECT id FROM member))),
letters AS (DELETE FROM queues_deadletter WHERE job_id = ANY(ARRAY(SELECT id FROM member))),
trash AS (DELETE FROM queues_trashedjob WHERE job_id = ANY(ARRAY(SELECT id FROM member))),
keys AS (DELETE FROM queues_jobkey WHERE job_id = ANY(ARRAY(SELECT id FROM member))),
results AS (DELETE FROM queues_jobresult WHERE job_id = ANY(ARRAY(SELECT id FROM member))),
tries AS (DELETE FROM queues_attempt WHERE job_id = ANY(ARRAY(SELECT id FROM member))),
gone AS (
    DELETE FROM queues_chunk WHERE id = ANY(%(chunks)s::bigint[])
    RETURNING batch_id, state, held_why, size, succeeded, cancelled
)
SELECT batch_id, sum(size)::bigint, sum(succeeded)::bigint,
       coalesce(sum(size) FILTER (WHERE state IN ('parked', 'cancelled') AND held_why = 'dead'), 0)::bigint,
       coalesce(sum(cancelled) FILTER (WHERE held_why <> 'dead'), 0)::bigint
FROM gone
GROUP BY batch_id
