-- Whoever stops, pauses, ends or reopens a batch holds it alone.
SELECT id, stop_reason, paused_at IS NOT NULL FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) ORDER BY id FOR NO KEY UPDATE
