-- Moves the jobs of held chunks into the archive: what is inserted is what was deleted. How many, for each chunk.
-- The members are found by their place of birth, materialized: a join would be planned as a scan of all jobs.
WITH chunk AS MATERIALIZED (
    SELECT c.*, b.created_at AS batch_created_at
    FROM queues_chunk c LEFT JOIN queues_batch b ON b.id = c.batch_id
    WHERE c.id = ANY(%(chunks)s::bigint[])
),
member AS MATERIALIZED (
    SELECT j.id, coalesce(c.ended IS NOT NULL AND get_bit(c.ended, j.place) = 1, false) AS bit
    FROM chunk c
    CROSS JOIN LATERAL (
        SELECT j.id, (j.id - c.first_id)::int AS place
        FROM queues_job j
        WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id
        UNION ALL
        SELECT j.id, (m.place - 1)::int
        FROM unnest(c.job_ids) WITH ORDINALITY AS m(id, place)
        JOIN queues_job j ON j.id = m.id
        WHERE j.chunk_id = c.id
        OFFSET 0
    ) j
),
gone AS (
    DELETE FROM queues_job WHERE id = ANY(ARRAY(SELECT id FROM member))
    RETURNING id, chunk_id, batch_id, payload, failures, own_state
),
kept AS (
    INSERT INTO queues_archivedjob (id, batch_id, chunk_id, queue_id, handler, priority, outcome, payload, failures,
                                    enqueued_at, finished_at, archived_at)
    SELECT g.id, g.batch_id, g.chunk_id, c.queue_id, c.handler, c.priority,
           CASE WHEN g.own_state = 'cancelled' THEN 'cancelled'
                WHEN g.own_state = 'trashed' THEN 'deleted'
                WHEN m.bit OR c.state = 'done' THEN 'succeeded'
                WHEN c.held_why = 'trashed' THEN 'deleted'
                WHEN c.held_why = 'dead' THEN 'dead'
                ELSE 'cancelled' END,
           g.payload, g.failures,
           -- A chunk of deleted or restored jobs is younger than its jobs; one of retried jobs is as old.
           CASE WHEN c.first_id IS NULL THEN coalesce(c.batch_created_at, c.created_at) ELSE c.created_at END,
           c.finished_at, clock_timestamp()
    FROM gone g JOIN chunk c ON c.id = g.chunk_id JOIN member m ON m.id = g.id
    RETURNING chunk_id
)
SELECT chunk_id, count(*) FROM kept GROUP BY chunk_id
