-- The batch that holds an idempotency key.
SELECT id, content_hash FROM queues_batch WHERE idempotency_key = %(key)s
