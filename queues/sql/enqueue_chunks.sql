-- The chunks of one block of a batch. Arrays keep the text short, and with it the parsing of each call.
INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, state, held_why,
                          size, bytes, first_id, span, has_keys)
SELECT c.id, %(queue)s::bigint, %(batch)s::bigint, %(handler)s::text, c.priority,
       coalesce(c.run_at, statement_timestamp()), %(state)s::text, %(held_why)s::text,
       c.size, c.bytes, c.first_id, c.span, c.has_keys
FROM unnest(%(ids)s::bigint[], %(priorities)s::smallint[], %(run_ats)s::timestamptz[], %(sizes)s::int[],
            %(bytes)s::bigint[], %(first_ids)s::bigint[], %(spans)s::int[],
            %(has_keys)s::boolean[])
     AS c(id, priority, run_at, size, bytes, first_id, span, has_keys)
