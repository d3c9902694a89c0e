-- The broker takes hints again: what went wrong before is over. Asked for only where something did.
UPDATE queues_queue SET hint_error = '', hint_failed_at = NULL, hint_failures = 0
WHERE id = %(queue)s::bigint AND hint_failures > 0
