-- The jobs of a held chunk that have not ended, by id.
SELECT j.id
FROM queues_chunk c
CROSS JOIN LATERAL (
    SELECT j.id, (j.id - c.first_id)::int AS place FROM queues_job j
    WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id AND j.own_state IS NULL
    UNION ALL
    SELECT j.id, (m.place - 1)::int FROM unnest(c.job_ids) WITH ORDINALITY AS m(id, place)
    JOIN queues_job j ON j.id = m.id
    WHERE j.chunk_id = c.id AND j.own_state IS NULL
) j
WHERE c.id = %(chunk)s::bigint AND (c.ended IS NULL OR get_bit(c.ended, j.place) = 0)
ORDER BY j.id
