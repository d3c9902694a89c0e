-- The fence of a settle or checkpoint: only the holder of the lease, and only once for each step.
UPDATE queues_run
SET step = step + 1,
    state = %(state)s::text,
    finished_at = CASE WHEN %(state)s::text = 'running' THEN NULL ELSE clock_timestamp() END,
    lease_until = CASE WHEN %(state)s::text = 'running'
                       THEN clock_timestamp() + make_interval(secs => %(lease)s::float) ELSE lease_until END
WHERE id = %(run)s::bigint AND state = 'running' AND step = %(step)s::int
