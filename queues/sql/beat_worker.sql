-- A heartbeat, with what has been done since the last one. Who was taken for gone, but was only asleep, is back.
-- An order to resume is done with once the worker says that it is not suspended; the others stay in force.
UPDATE queues_worker
SET heartbeat_at = clock_timestamp(), state = %(state)s::text, stopped_at = NULL, processed = processed + %(processed)s,
    failed = failed + %(failed)s,
    command = CASE WHEN command = 'resume' AND %(state)s::text <> 'suspended' THEN '' ELSE command END
WHERE id = %(worker)s::uuid
