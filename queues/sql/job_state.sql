-- The state of each of some jobs. The rule is the function of migration 0007.
SELECT j.id,
       queues_job_state(j.own_state, c.ended, b.place, c.state, c.held_why, c.run_at <= clock_timestamp(), j.failures)
FROM queues_job j
JOIN queues_chunk c ON c.id = j.chunk_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.first_id IS NOT NULL THEN j.id - c.first_id
                ELSE array_position(c.job_ids, j.id) - 1 END::int AS place
) b
WHERE j.id = ANY(%(jobs)s::bigint[])
ORDER BY j.id
