-- Takes the right to send one hint for a queue: none while one is unanswered.
-- An unanswered hint counts as lost after a while.
UPDATE queues_queue
SET hinted_at = clock_timestamp()
WHERE id = %(queue)s::bigint
  AND (hinted_at IS NULL OR hinted_at < clock_timestamp() - make_interval(secs => %(lost_after)s::float))
  AND (paused_at IS NULL OR paused_until <= clock_timestamp())
