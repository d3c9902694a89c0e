-- The hand-over of batches is done: a hint for their queue has been accepted by the broker.
UPDATE queues_batch SET queued_at = clock_timestamp()
WHERE queue_id = %(queue)s::bigint AND queued_at IS NULL AND sealed_at IS NOT NULL AND state = 'running'
