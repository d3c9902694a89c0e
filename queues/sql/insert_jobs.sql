-- Jobs of the engine itself, with consecutive ids, and their chunks: one statement, whatever their number.
WITH job AS (
    SELECT %(job)s::bigint + n.place - 1 AS id, %(chunk)s::bigint + (n.place - 1) / %(chunk_size)s::int AS chunk_id,
           n.payload
    FROM unnest(%(payloads)s::text[]) WITH ORDINALITY AS n(payload, place)
),
chunk AS (
    INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, state, size, bytes,
                              first_id, span, has_keys)
    SELECT chunk_id, %(queue)s::bigint, NULL, %(handler)s::text, %(priority)s::smallint, statement_timestamp(), 'ready',
           count(*), sum(octet_length(payload)), min(id), count(*), false
    FROM job
    GROUP BY chunk_id
)
INSERT INTO queues_job (id, chunk_id, batch_id, payload)
SELECT id, chunk_id, NULL, payload::json FROM job
