-- One page of chunks beside what their jobs say, all of one snapshot: work that goes on is no false alarm.
WITH page AS MATERIALIZED (
    SELECT * FROM queues_chunk WHERE id > %(after)s::bigint ORDER BY id LIMIT %(limit)s::int
)
SELECT p.id, p.batch_id, p.state, p.held_why, p.size, p.succeeded, p.cancelled,
       coalesce(p.span, cardinality(p.job_ids)), length(p.ended), p.archived_at IS NOT NULL,
       m.jobs, m.bits, m.own_cancelled,
       CASE WHEN p.state = 'parked' THEN (
           SELECT count(*) FROM queues_deadletter d JOIN queues_job j ON j.id = d.job_id
           WHERE d.job_id = ANY(p.job_ids) AND j.chunk_id = p.id) END,
       CASE WHEN p.archived_at IS NOT NULL THEN
           (SELECT count(*) FROM queues_archivedjob a
            WHERE a.id >= p.first_id AND a.id < p.first_id + p.span AND a.chunk_id = p.id)
           + (SELECT count(*) FROM queues_archivedjob a WHERE a.id = ANY(p.job_ids) AND a.chunk_id = p.id) END,
       p.finished_at > statement_timestamp()
       - make_interval(secs => least(q.purge_after, q.purge_cancelled_after, q.purge_dead_after)),
       r.state
FROM page p
LEFT JOIN queues_queue q ON q.id = p.queue_id
LEFT JOIN queues_run r ON p.state = 'leased' AND r.id = p.run_id
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs,
           count(*) FILTER (WHERE j.bit) AS bits,
           count(*) FILTER (WHERE j.own_state = 'cancelled' AND NOT j.bit) AS own_cancelled
    FROM (
        SELECT j.own_state, coalesce(
            CASE WHEN j.place < length(p.ended) * 8 THEN get_bit(p.ended, j.place) = 1 END, false) AS bit
        FROM (
            SELECT j.own_state, (j.id - p.first_id)::int AS place
            FROM queues_job j
            WHERE j.id >= p.first_id AND j.id < p.first_id + p.span AND j.chunk_id = p.id
            UNION ALL
            SELECT j.own_state, (o.place - 1)::int
            FROM unnest(p.job_ids) WITH ORDINALITY AS o(id, place)
            JOIN queues_job j ON j.id = o.id
            WHERE j.chunk_id = p.id
        ) j
    ) j
) m
ORDER BY p.id
