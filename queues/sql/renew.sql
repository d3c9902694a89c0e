-- Renews a lease, also a late one: only the reaper ends it. Tells which batches of the run are stopping.
WITH run AS (
    UPDATE queues_run SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s::float)
    WHERE id = %(run)s::bigint AND state = 'running'
    RETURNING id
)
SELECT (SELECT count(*) FROM run),
       ARRAY(SELECT id FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) AND stop_reason <> '')
