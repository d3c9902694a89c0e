-- The first claim of a batch, and of its parent's first part. Locked in order, for a parent has many parts.
UPDATE queues_batch SET started_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM queues_batch
    WHERE id = ANY(%(batches)s::bigint[]) AND started_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
)
