-- Which of these batches are stopping.
SELECT id FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) AND stop_reason <> ''
