-- The hand-over of batches is done: a hint for their queue has been accepted by the broker. Locked in the order in which
-- all others lock batches.
WITH pending AS MATERIALIZED (
    SELECT id FROM queues_batch
    WHERE queue_id = %(queue)s::bigint AND queued_at IS NULL AND sealed_at IS NOT NULL AND state = 'running'
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE queues_batch SET queued_at = clock_timestamp()
WHERE id = ANY(ARRAY(SELECT id FROM pending)) AND queued_at IS NULL
