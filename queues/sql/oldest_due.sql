-- The oldest due chunk of each unpaused queue, or of the one that is named: one index descent for each queue and
-- priority.
SELECT q.name, extract(epoch FROM clock_timestamp() - min(greatest(x.run_at, x.created_at)))::float
FROM queues_queue q
CROSS JOIN generate_series(0, 4) AS p(priority)
CROSS JOIN LATERAL (
    SELECT c.run_at, c.created_at
    FROM queues_chunk c
    WHERE c.queue_id = q.id AND c.state = 'ready' AND c.priority = p.priority
      AND c.run_at <= statement_timestamp()
    ORDER BY c.run_at, c.id
    LIMIT 1
) x
WHERE (q.paused_at IS NULL OR q.paused_until <= statement_timestamp())
  AND (%(queue)s::text IS NULL OR q.name = %(queue)s)
GROUP BY q.name
ORDER BY q.name
