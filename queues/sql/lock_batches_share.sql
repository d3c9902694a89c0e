-- Whoever adds unfinished work to a batch holds it, so that it neither ends nor stops nor is paused meanwhile.
SELECT id, stop_reason, paused_at IS NOT NULL FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) ORDER BY id FOR SHARE
