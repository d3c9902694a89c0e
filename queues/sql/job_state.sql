-- The state of each of some jobs, first hit wins: its own, its bit, its chunk's. The same rule as
-- `domain.states.job_state`; a test holds the two together.
SELECT j.id,
       CASE
           WHEN j.own_state IS NOT NULL THEN j.own_state
           WHEN c.ended IS NOT NULL AND get_bit(c.ended, b.place) = 1 THEN 'succeeded'
           WHEN c.state = 'ready' AND c.run_at <= clock_timestamp() THEN 'waiting'
           WHEN c.state = 'ready' AND j.failures > 0 THEN 'retrying'
           WHEN c.state = 'ready' THEN 'scheduled'
           WHEN c.state = 'leased' THEN 'running'
           WHEN c.state = 'parked' AND c.held_why = 'trashed' THEN 'trashed'
           WHEN c.state = 'parked' THEN 'dead'
           WHEN c.state = 'done' THEN 'succeeded'
           ELSE c.state
       END
FROM queues_job j
JOIN queues_chunk c ON c.id = j.chunk_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.first_id IS NOT NULL THEN j.id - c.first_id
                ELSE array_position(c.job_ids, j.id) - 1 END::int AS place
) b
WHERE j.id = ANY(%(jobs)s::bigint[])
ORDER BY j.id
