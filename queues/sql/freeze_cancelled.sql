-- Writes the cancelled jobs that match as items of an operation, at most so many. Three looks, each by an index of its
-- own: chunks of some batches; without batches, chunks of some queues that have ended, and jobs that were cancelled one
-- by one in chunks that go on. Lists are named instead of a missing condition, which would be no way into an index.
-- What a chunk gives is told by its row, so only chunks with cancelled jobs are opened, by the ids of their birth. The
-- OFFSETs keep the other conditions from choosing the index. `since` and `before` are about when a chunk of a batch was
-- made, else about its end; a job in a chunk that goes on has no such time.
INSERT INTO queues_operationitem (operation_id, job_id)
SELECT %(operation)s::bigint, f.id
FROM (
    SELECT j.id, c.queue_id, c.handler, c.created_at
    FROM (
        SELECT * FROM queues_chunk
        WHERE batch_id = ANY(%(batches)s::bigint[]) AND cancelled > 0 AND archived_at IS NULL
        UNION ALL
        SELECT * FROM queues_chunk
        WHERE queue_id = ANY(%(queues)s::bigint[]) AND state IN ('done', 'cancelled') AND archived_at IS NULL
          AND cancelled > 0 AND finished_at >= %(since)s::timestamptz AND finished_at < %(before)s::timestamptz
        OFFSET 0
    ) c
    CROSS JOIN LATERAL (
        SELECT j.id, j.own_state, (j.id - c.first_id)::int AS place
        FROM queues_job j
        WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id
        UNION ALL
        SELECT j.id, j.own_state, (m.place - 1)::int
        FROM unnest(c.job_ids) WITH ORDINALITY AS m(id, place)
        JOIN queues_job j ON j.id = m.id
        WHERE j.chunk_id = c.id
        OFFSET 0
    ) j
    WHERE (cardinality(%(batches)s::bigint[]) = 0
           OR c.created_at >= %(since)s::timestamptz AND c.created_at < %(before)s::timestamptz)
      AND (c.state <> 'cancelled' OR c.finished_at <= %(until)s::timestamptz)
      AND queues_job_state(j.own_state, c.ended, j.place, c.state, c.held_why, true, 0) = 'cancelled'
    UNION ALL
    SELECT j.id, c.queue_id, c.handler, c.created_at
    FROM queues_job j
    CROSS JOIN LATERAL (SELECT * FROM queues_chunk WHERE id = j.chunk_id OFFSET 0) c
    WHERE j.own_state = 'cancelled' AND c.queue_id = ANY(%(queues)s::bigint[])
      AND c.state IN ('ready', 'held', 'leased')
      AND %(since)s::timestamptz = '-infinity' AND %(before)s::timestamptz = 'infinity'
) f
WHERE f.created_at <= %(until)s::timestamptz AND f.id <= %(top)s::bigint
  AND (%(queue)s::bigint IS NULL OR f.queue_id = %(queue)s::bigint)
  AND (%(handler)s::text IS NULL OR f.handler = %(handler)s::text)
LIMIT %(most)s::bigint
