-- Ends the lease: from here on its worker's settle changes nothing. Only if it is still expired.
WITH expired AS (
    SELECT id FROM queues_run
    WHERE id = %(run)s::bigint AND state = 'running' AND lease_until < clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE queues_run r SET state = 'lost', finished_at = clock_timestamp()
FROM expired WHERE r.id = expired.id
RETURNING r.queue_id, r.worker_id, r.careful, r.marked_job
