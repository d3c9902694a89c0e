-- Of some jobs those that have ended, or that do not exist: how, the kept result, and for dead ones the error.
-- One index descent for each job and table (LATERAL): a join would be planned as scans of all jobs.
SELECT w.id, e.state, r.value,
       CASE WHEN q.keep_results IS NULL THEN 'none kept'
            WHEN e.finished_at < clock_timestamp() - make_interval(secs => q.keep_results) THEN 'expired'
            ELSE '' END,
       coalesce(d.error_class, ''), coalesce(d.message, ''), coalesce(d.attempts, e.failures)
FROM unnest(%(jobs)s::bigint[]) AS w(id)
LEFT JOIN LATERAL (
    SELECT j.failures, c.queue_id, c.finished_at,
           CASE WHEN j.own_state = 'cancelled' THEN 'cancelled'
                WHEN j.own_state = 'trashed' THEN 'deleted'
                WHEN c.ended IS NOT NULL AND get_bit(c.ended, (CASE WHEN c.first_id IS NOT NULL THEN j.id - c.first_id
                         ELSE array_position(c.job_ids, j.id) - 1 END)::int) = 1 THEN 'succeeded'
                WHEN c.held_why = 'trashed' THEN 'deleted'
                WHEN c.state = 'parked' THEN 'dead'
                WHEN c.state = 'done' THEN 'succeeded'
                WHEN c.state = 'cancelled' AND c.held_why = 'dead' THEN 'dead'
                WHEN c.state = 'cancelled' THEN 'cancelled'
                ELSE 'unended' END AS state
    FROM queues_job j JOIN queues_chunk c ON c.id = j.chunk_id
    WHERE j.id = w.id
    OFFSET 0
) hot ON true
LEFT JOIN LATERAL (
    SELECT a.failures, a.queue_id, a.finished_at, a.outcome AS state
    FROM queues_archivedjob a WHERE a.id = w.id
    OFFSET 0
) cold ON true
CROSS JOIN LATERAL (
    SELECT coalesce(hot.state, cold.state, 'unknown') AS state, coalesce(hot.queue_id, cold.queue_id) AS queue_id,
           coalesce(hot.finished_at, cold.finished_at) AS finished_at, coalesce(hot.failures, cold.failures, 0) AS failures
) e
LEFT JOIN LATERAL (
    SELECT r.value::text AS value FROM queues_jobresult r
    WHERE r.job_id = w.id AND r.expires_at > clock_timestamp()
    OFFSET 0
) r ON true
LEFT JOIN LATERAL (
    SELECT d.error_class, d.message, d.attempts FROM queues_deadletter d WHERE d.job_id = w.id OFFSET 0
) d ON true
LEFT JOIN queues_queue q ON q.id = e.queue_id
WHERE e.state <> 'unended'
