-- What an enqueue needs to know of a queue.
SELECT id, handler, chunk_size, default_priority, boundaries, batch_threshold,
       nullif(payload_rules, '{}')::text, enqueue_rate, enqueue_burst
FROM queues_queue WHERE name = %(name)s
