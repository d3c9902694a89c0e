-- What a consumer has given back waits before it can be had again.
UPDATE queues_chunk SET run_at = clock_timestamp() + make_interval(secs => %(delay)s::float)
WHERE id = ANY(%(chunks)s::bigint[]) AND state IN ('ready', 'held')
