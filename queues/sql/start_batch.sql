-- The first claim of a batch, and of its parent's first part. Locked in order, for a parent has many parts.
-- Who works on it has found it: it is handed over, whatever became of the message or of its mark.
UPDATE queues_batch SET started_at = clock_timestamp(), queued_at = coalesce(queued_at, statement_timestamp())
WHERE id IN (
    SELECT id FROM queues_batch
    WHERE id = ANY(%(batches)s::bigint[]) AND started_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
)
RETURNING id
