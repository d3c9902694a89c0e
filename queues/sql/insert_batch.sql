-- A batch, still empty. With an idempotency key that another transaction is using, this waits for its end.
INSERT INTO queues_batch (queue_id, handler, name, metadata, failure_mode, chunk_size, parent_id, is_parent, part,
                          idempotency_key, callback_handler, callback_queue_id, callback_each_end, created_by,
                          after_policy, then_handler, then_queue_id)
VALUES (%(queue)s, %(handler)s, %(name)s, %(metadata)s::jsonb, %(failure_mode)s, %(chunk_size)s, %(parent)s,
        %(is_parent)s, %(part)s, %(idempotency_key)s, %(callback_handler)s, %(callback_queue)s,
        %(callback_each_end)s, %(created_by)s, %(after_policy)s, %(then_handler)s, %(then_queue)s)
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id
