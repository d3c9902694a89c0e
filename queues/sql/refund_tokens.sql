-- Jobs of a rate limited queue that were claimed with their chunk, but handed out to nobody, do not count.
UPDATE queues_queue SET rate_tokens = rate_tokens + %(jobs)s::int
WHERE id = %(queue)s::bigint AND rate_limit IS NOT NULL
