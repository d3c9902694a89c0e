-- Ends a batch that the caller holds.
UPDATE queues_batch
SET state = %(state)s, finished_at = clock_timestamp(), generation = generation + 1,
    queued_at = coalesce(queued_at, clock_timestamp()), started_at = coalesce(started_at, clock_timestamp()),
    succeeded = %(succeeded)s, dead = %(dead)s, cancelled = %(cancelled)s
WHERE id = %(batch)s::bigint AND state = 'running'
