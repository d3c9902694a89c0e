-- An open batch that is cancelled takes no more jobs, so that it can end.
UPDATE queues_batch SET sealed_at = clock_timestamp()
WHERE id = ANY(%(batches)s::bigint[]) AND sealed_at IS NULL AND state = 'running'
