-- The jobs of a run as one row: ids, failures and chunk of each, and all payloads as one JSON document,
-- which is parsed once. A job that has left its chunk, has a state of its own or has already succeeded
-- is not among them. The batches' stop reasons come along, for a batch may be cancelled since the claim.
SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(failures), '{}'), coalesce(array_agg(place), '{}'),
       '[' || coalesce(string_agg(payload, ','), '') || ']',
       ARRAY(SELECT b.id || ' ' || b.failure_mode || ' ' || coalesce(b.parent_id, 0) || ' '
                    || (b.started_at IS NULL)::int || ' ' || b.stop_reason
             FROM queues_batch b WHERE b.id = ANY(%(batches)s::bigint[]))
FROM (
    SELECT j.id, j.failures, t.place, j.payload
    FROM unnest(%(chunks)s::bigint[]) WITH ORDINALITY AS t(chunk_id, place)
    JOIN queues_chunk c ON c.id = t.chunk_id
    CROSS JOIN LATERAL (
        SELECT j.id, j.failures, j.payload::text AS payload
        FROM queues_job j
        WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id AND j.own_state IS NULL
          AND (c.ended IS NULL OR get_bit(c.ended, (j.id - c.first_id)::int) = 0)
        UNION ALL
        SELECT j.id, j.failures, j.payload::text
        FROM unnest(c.job_ids) WITH ORDINALITY AS m(id, place)
        JOIN queues_job j ON j.id = m.id
        WHERE j.chunk_id = c.id AND j.own_state IS NULL
          AND (c.ended IS NULL OR get_bit(c.ended, (m.place - 1)::int) = 0)
        OFFSET 0
    ) j
    ORDER BY t.place, j.id
    OFFSET 0
) jobs
