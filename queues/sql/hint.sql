-- Takes the right to send one hint for a queue: none while one is unanswered.
-- An unanswered hint counts as lost after a while. Returns how many could not be sent before it.
-- After an answer the next one may go at once, however soon: it is what wakes the second free slot, or starts a single job
-- that was enqueued right after another. Withheld, both would wait for `drive`, up to a second. There cannot be many: each
-- answer takes a worker's claim, which costs several times what a hint does.
UPDATE queues_queue
SET hinted_at = clock_timestamp()
WHERE id = %(queue)s::bigint
  AND (hinted_at IS NULL OR hinted_at < clock_timestamp() - make_interval(secs => %(lost_after)s::float))
  AND (paused_at IS NULL OR paused_until <= clock_timestamp())
RETURNING hint_failures
