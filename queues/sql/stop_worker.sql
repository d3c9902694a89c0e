-- A worker leaves.
UPDATE queues_worker
SET state = 'stopped', stopped_at = clock_timestamp(), processed = processed + %(processed)s,
    failed = failed + %(failed)s
WHERE id = %(worker)s::uuid AND state <> 'stopped'
RETURNING name
