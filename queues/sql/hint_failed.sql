-- A hint could not be sent: why is kept for people, and the next one may be tried at once.
UPDATE queues_queue
SET hinted_at = NULL, hint_error = %(error)s, hint_failed_at = clock_timestamp(), hint_failures = hint_failures + 1
WHERE id = %(queue)s::bigint
