-- The first claim of a batch.
UPDATE queues_batch SET started_at = clock_timestamp() WHERE id = %(batch)s::bigint AND started_at IS NULL
