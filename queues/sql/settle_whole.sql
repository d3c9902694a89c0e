-- Ends a run in which every job has succeeded: the fence, then its chunks, one row each.
-- Not `chunk.id = ANY(list)`: the partial index on (run_id) finds the same rows without comparing ids.
WITH run AS (
    UPDATE queues_run
    SET state = 'done', step = step + 1, finished_at = clock_timestamp(), succeeded = claimed - failed - cancelled - returned,
        marked_job = NULL, p50_ms = %(p50)s, p95_ms = %(p95)s, max_ms = %(max)s
    WHERE id = %(run)s::bigint AND state = 'running' AND step = %(step)s::int
    RETURNING id, queue_id, worker_id
),
chunk AS (
    UPDATE queues_chunk c
    SET state = 'done', finished_at = clock_timestamp(), succeeded = c.size - c.cancelled, ended = NULL
    FROM run
    WHERE c.run_id = run.id AND c.state = 'leased'
    RETURNING c.id
)
SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM chunk)
