-- The runs of a dead process need not wait for their leases to end.
UPDATE queues_run SET lease_until = clock_timestamp()
WHERE worker_id = %(worker)s::uuid AND state = 'running' AND lease_until > clock_timestamp()
