-- One lease ends now, so that its run can be taken back in the same transaction. One that somebody has locked is passed
-- by: it is in the middle of a commit, or frozen there, and nobody is to wait for that.
WITH held AS (
    SELECT id FROM queues_run
    WHERE id = %(run)s::bigint AND state = 'running' AND lease_until > clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE queues_run r SET lease_until = clock_timestamp() FROM held WHERE r.id = held.id
