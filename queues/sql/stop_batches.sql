-- Marks running batches as stopping; the reason that came first stays.
UPDATE queues_batch SET stop_reason = %(reason)s
WHERE id = ANY(%(batches)s::bigint[]) AND state = 'running' AND stop_reason = ''
RETURNING id
