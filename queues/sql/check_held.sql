-- Batches whose chunks are held for a reason that is over: paused and resumed since, or open and sealed since. Nobody
-- would ever release them. Read through the index of what is held, which is short beside what waits.
SELECT c.batch_id, c.held_why, count(*), coalesce(sum(c.size - c.succeeded - c.cancelled), 0)::bigint
FROM queues_chunk c
LEFT JOIN queues_batch b ON b.id = c.batch_id
LEFT JOIN queues_batch p ON p.id = b.parent_id
WHERE c.state = 'held'
  AND CASE c.held_why
          WHEN 'paused' THEN b.paused_at IS NULL AND p.paused_at IS NULL
          WHEN 'open' THEN b.id IS NULL OR b.sealed_at IS NOT NULL
          ELSE false
      END
GROUP BY c.batch_id, c.held_why
ORDER BY c.batch_id, c.held_why
LIMIT %(limit)s::int
