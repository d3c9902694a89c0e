-- Runs whose lease has ended, oldest first; another reaper's are skipped.
SELECT id FROM queues_run
WHERE state = 'running' AND lease_until < clock_timestamp()
ORDER BY lease_until
LIMIT %(limit)s::int
