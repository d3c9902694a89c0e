-- Queues with work that may start now: due ready chunks, unpaused, no hint underway.
-- One index descent for each queue and priority, whatever the backlog.
SELECT q.id
FROM queues_queue q
WHERE (q.paused_at IS NULL OR q.paused_until <= statement_timestamp())
  AND (q.hinted_at IS NULL OR q.hinted_at < clock_timestamp() - make_interval(secs => %(lost_after)s::float))
  AND EXISTS (
      SELECT FROM generate_series(0, 4) AS p(priority) CROSS JOIN LATERAL (
          SELECT FROM queues_chunk c
          WHERE c.queue_id = q.id AND c.state = 'ready' AND c.priority = p.priority
            AND c.run_at <= statement_timestamp()
          ORDER BY c.run_at, c.id
          LIMIT 1
      ) x
  )
ORDER BY q.id
