-- Holds one batch that may end: running and sealed.
SELECT id, stop_reason, total, generation, parent_id, callback_handler, callback_queue_id,
       callback_each_end, name, after_policy, then_handler, then_queue_id
FROM queues_batch
WHERE id = %(batch)s::bigint AND state = 'running' AND sealed_at IS NOT NULL
FOR NO KEY UPDATE
