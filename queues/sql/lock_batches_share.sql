-- Whoever adds unfinished work to a batch holds it, so that it neither ends nor stops meanwhile.
SELECT id, stop_reason FROM queues_batch WHERE id = ANY(%(batches)s::bigint[]) ORDER BY id FOR SHARE
