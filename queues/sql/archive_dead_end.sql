-- Ends held chunks of dead letters: the letters and unique keys of their jobs go, and the chunk is over since they died.
-- A statement after the lock, hence with a snapshot in which nobody has a job half way to another chunk.
WITH letter AS MATERIALIZED (
    SELECT d.job_id, d.died_at, c.id AS chunk
    FROM queues_chunk c
    CROSS JOIN LATERAL unnest(c.job_ids) AS m(id)
    JOIN queues_job j ON j.id = m.id AND j.chunk_id = c.id
    JOIN queues_deadletter d ON d.job_id = j.id
    WHERE c.id = ANY(%(chunks)s::bigint[])
),
gone AS (
    DELETE FROM queues_deadletter WHERE job_id = ANY(ARRAY(SELECT job_id FROM letter))
),
freed AS (
    DELETE FROM queues_jobkey WHERE job_id = ANY(ARRAY(SELECT job_id FROM letter))
)
UPDATE queues_chunk c
SET state = 'cancelled', cancelled = c.size - c.succeeded, finished_at = l.died_at
FROM (SELECT chunk, max(died_at) AS died_at FROM letter GROUP BY chunk) l
WHERE c.id = l.chunk AND c.state = 'parked' AND c.held_why = 'dead'
RETURNING c.id
