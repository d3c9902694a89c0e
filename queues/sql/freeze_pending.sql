-- Writes the jobs that have not been started and match as items of an operation, at most so many. A null is no condition.
-- Two looks, one for each state, because each has an index of its own. `until` and `top` are the bounds of the preview:
-- a chunk that is younger, or a job with a higher number, had not been counted in it. `since` and `before` are about one
-- of the times of a chunk, each of which is compared by itself: only so can it be found in an index.
-- The OFFSET keeps what is asked of both from choosing another index.
INSERT INTO queues_operationitem (operation_id, job_id)
SELECT %(operation)s::bigint, j.id
FROM (
    SELECT * FROM queues_chunk WHERE state = 'ready' AND (%(queue)s::bigint IS NULL OR queue_id = %(queue)s::bigint)
      AND (%(batches)s::bigint[] IS NULL OR batch_id = ANY(%(batches)s::bigint[]))
      AND (%(due)s::boolean IS NULL OR (run_at <= %(until)s::timestamptz) = %(due)s::boolean)
      AND (%(again)s::boolean IS NULL OR is_retry = %(again)s::boolean) AND %(ready)s::boolean
      AND run_at >= CASE WHEN %(by)s::text = 'run_at' THEN %(since)s::timestamptz ELSE '-infinity' END
      AND run_at < CASE WHEN %(by)s::text = 'run_at' THEN %(before)s::timestamptz ELSE 'infinity' END
    UNION ALL
    SELECT * FROM queues_chunk WHERE state = 'held' AND (%(queue)s::bigint IS NULL OR queue_id = %(queue)s::bigint)
      AND (%(batches)s::bigint[] IS NULL OR batch_id = ANY(%(batches)s::bigint[])) AND %(held)s::boolean
    OFFSET 0
) c
CROSS JOIN LATERAL (
    SELECT j.id
    FROM queues_job j
    WHERE j.id >= c.first_id AND j.id < c.first_id + c.span AND j.chunk_id = c.id AND j.own_state IS NULL
      AND (c.ended IS NULL OR get_bit(c.ended, (j.id - c.first_id)::int) = 0)
    UNION ALL
    SELECT j.id
    FROM unnest(c.job_ids) WITH ORDINALITY AS m(id, place)
    JOIN queues_job j ON j.id = m.id
    WHERE j.chunk_id = c.id AND j.own_state IS NULL
      AND (c.ended IS NULL OR get_bit(c.ended, (m.place - 1)::int) = 0)
    OFFSET 0
) j
WHERE c.created_at <= %(until)s::timestamptz
  AND CASE %(by)s::text WHEN 'run_at' THEN c.run_at ELSE c.created_at END >= %(since)s::timestamptz
  AND CASE %(by)s::text WHEN 'run_at' THEN c.run_at ELSE c.created_at END < %(before)s::timestamptz
  AND j.id <= %(top)s::bigint
  AND (%(handler)s::text IS NULL OR c.handler = %(handler)s::text)
LIMIT %(most)s::bigint
