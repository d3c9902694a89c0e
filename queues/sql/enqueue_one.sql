-- One job and its chunk of one, in one round trip.
WITH chunk AS (
    INSERT INTO queues_chunk (queue_id, batch_id, handler, priority, run_at, state, size, bytes,
                              first_id, span, has_keys)
    VALUES (%(queue)s, NULL, %(handler)s, %(priority)s,
            coalesce(%(run_at)s::timestamptz, statement_timestamp()), 'ready', 1, %(bytes)s,
            %(job)s::bigint, 1, %(has_key)s)
    RETURNING id
)
INSERT INTO queues_job (id, chunk_id, batch_id, payload)
SELECT %(job)s::bigint, chunk.id, NULL, %(payload)s::json FROM chunk
