-- A heartbeat, with what has been done since the last one. Who was taken for gone, but was only asleep, is back.
UPDATE queues_worker
SET heartbeat_at = clock_timestamp(), state = %(state)s, stopped_at = NULL, processed = processed + %(processed)s,
    failed = failed + %(failed)s
WHERE id = %(worker)s::uuid
