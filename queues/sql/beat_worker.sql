-- A heartbeat, with what has been done since the last one.
UPDATE queues_worker
SET heartbeat_at = clock_timestamp(), state = %(state)s, processed = processed + %(processed)s,
    failed = failed + %(failed)s
WHERE id = %(worker)s::uuid AND state <> 'stopped'
