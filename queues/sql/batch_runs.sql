-- The newest runs that have held chunks of some batches, and how many runs there are of them. By each batch's newest chunks
-- in the order of an index, so that a batch of any size costs a bounded number of rows.
WITH held AS MATERIALIZED (
    SELECT DISTINCT unnest(c.run_ids) AS id
    FROM unnest(%(batches)s::bigint[]) AS b(id)
    CROSS JOIN LATERAL (
        SELECT run_ids FROM queues_chunk WHERE batch_id = b.id ORDER BY id DESC LIMIT %(chunks)s::int
    ) c
)
SELECT r.id, w.name, r.started_at, r.finished_at, r.state, r.claimed, r.succeeded, r.failed, r.dead,
       (SELECT count(*) FROM held)
FROM held JOIN queues_run r ON r.id = held.id LEFT JOIN queues_worker w ON w.id = r.worker_id
ORDER BY r.started_at DESC, r.id DESC
LIMIT %(limit)s::int
