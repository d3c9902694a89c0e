-- Batches that look finished: the sweep's page. Judged again under the lock. Oldest first, after a key.
SELECT b.id
FROM queues_batch b
WHERE b.state = 'running' AND b.sealed_at IS NOT NULL AND b.id > %(after)s::bigint
  AND NOT EXISTS (SELECT FROM queues_chunk c WHERE c.batch_id = b.id AND c.state IN ('ready', 'held', 'leased'))
  AND NOT EXISTS (SELECT FROM queues_batch p WHERE p.parent_id = b.id AND p.state = 'running')
ORDER BY b.id
LIMIT %(limit)s::int
