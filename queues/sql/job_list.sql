-- The jobs of some chunks, or some jobs by their ids, with the state of each: those in wanted states, that hold one of
-- some pieces of JSON, or of whose tries one tells of an error. In the order of the chunks, and by id within a chunk; in
-- the first chunk, only those between two ids. Each chunk is entered by the ids of its birth, so that no more jobs are
-- read than its span, and payloads are parsed only where one is asked for. The rule of the states is the function of
-- migration 0007.
SELECT x.chunk_id, x.id, x.state
FROM (
    SELECT m.place, m.chunk_id, m.id, m.payload, m.failures,
           queues_job_state(m.own_state, m.ended, m.bit, m.state, m.held_why, m.run_at <= %(now)s::timestamptz,
                            m.failures) AS state
    FROM (
        SELECT t.place, c.id AS chunk_id, c.state, c.held_why, c.run_at, c.ended,
               j.id, j.payload, j.failures, j.own_state, j.bit
        FROM unnest(%(chunks)s::bigint[]) WITH ORDINALITY AS t(chunk_id, place)
        JOIN queues_chunk c ON c.id = t.chunk_id
        CROSS JOIN LATERAL (
            SELECT j.id, j.payload, j.failures, j.own_state, (j.id - c.first_id)::int AS bit
            FROM queues_job j
            WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id
              AND j.id >= CASE WHEN t.place = 1 THEN %(low)s::bigint ELSE c.first_id END
              AND j.id < CASE WHEN t.place = 1 THEN %(high)s::bigint ELSE c.first_id + c.span END
            UNION ALL
            SELECT j.id, j.payload, j.failures, j.own_state, (n.bit - 1)::int
            FROM unnest(c.job_ids) WITH ORDINALITY AS n(id, bit)
            JOIN queues_job j ON j.id = n.id
            WHERE j.chunk_id = c.id
              AND (t.place > 1 OR (j.id >= %(low)s::bigint AND j.id < %(high)s::bigint))
            OFFSET 0
        ) j
        UNION ALL
        SELECT t.place, c.id, c.state, c.held_why, c.run_at, c.ended, j.id, j.payload, j.failures, j.own_state,
               CASE WHEN c.first_id IS NOT NULL THEN j.id - c.first_id
                    ELSE array_position(c.job_ids, j.id) - 1 END::int
        FROM unnest(%(jobs)s::bigint[]) WITH ORDINALITY AS t(id, place)
        JOIN queues_job j ON j.id = t.id
        JOIN queues_chunk c ON c.id = j.chunk_id
    ) m
) x
WHERE (cardinality(%(states)s::text[]) = 0 OR x.state = ANY(%(states)s::text[]))
  AND (%(error)s::text = '' OR x.failures > 0 AND EXISTS (
      SELECT FROM queues_attempt a
      WHERE a.job_id = x.id AND strpos(lower(a.error_class || ' ' || a.message), lower(%(error)s::text)) > 0))
  AND (cardinality(%(holds)s::text[]) = 0 OR x.payload::jsonb @> ANY(%(holds)s::text[]::jsonb[]))
ORDER BY x.place, CASE WHEN %(descending)s::boolean THEN -x.id ELSE x.id END
LIMIT %(limit)s::int
