-- Renews the lease of a consumer, never to an earlier end. A run that its own consumer has locked is passed by, for that
-- transaction may last; no reaper takes a locked run. Tells its state and which of its batches are stopping.
WITH free AS (
    SELECT id FROM queues_run WHERE id = %(run)s::bigint AND state = 'running' FOR NO KEY UPDATE SKIP LOCKED
),
kept AS (
    UPDATE queues_run r
    SET lease_until = greatest(r.lease_until, clock_timestamp() + make_interval(secs => %(lease)s::float))
    FROM free WHERE r.id = free.id
    RETURNING r.id
)
SELECT (SELECT state FROM queues_run WHERE id = %(run)s::bigint),
       ARRAY(SELECT id FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) AND stop_reason <> '')
