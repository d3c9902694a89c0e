-- Adds to a lease, counted from now where it has already ended but nobody has taken its jobs back.
UPDATE queues_run
SET lease_until = least(greatest(lease_until, clock_timestamp()) + make_interval(secs => %(seconds)s::float),
                        clock_timestamp() + make_interval(secs => %(most)s::float))
WHERE id = %(run)s::bigint AND state = 'running'
RETURNING lease_until
