-- Holds an open batch, to add jobs to it or to seal it.
SELECT b.id, b.queue_id, q.name, b.handler, b.chunk_size, b.total, b.stop_reason, q.default_priority,
       nullif(q.payload_rules, '{}')::text, q.enqueue_rate, q.enqueue_burst
FROM queues_batch b JOIN queues_queue q ON q.id = b.queue_id
WHERE b.id = %(batch)s::bigint AND b.state = 'running' AND b.sealed_at IS NULL
FOR NO KEY UPDATE OF b
