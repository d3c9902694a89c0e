-- A worker has seen the hint: the next one may be sent.
UPDATE queues_queue SET hinted_at = NULL WHERE id = %(queue)s::bigint AND hinted_at IS NOT NULL
