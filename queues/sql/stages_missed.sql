-- Batches of a later stage that wait though no batch before them runs any more: the sweep's page, judged again under the lock.
SELECT a.id
FROM queues_batch a
WHERE a.state = 'running' AND a.stage > 1 AND a.parent_id IS NULL AND a.stop_reason = '' AND a.sealed_at IS NOT NULL
  AND a.id > %(after)s::bigint
  AND NOT EXISTS (
      SELECT FROM queues_batchlink l JOIN queues_batch b ON b.id = l.before_id
      WHERE l.after_id = a.id AND b.state = 'running')
  AND EXISTS (
      SELECT FROM queues_chunk c
      WHERE c.batch_id = ANY(ARRAY(SELECT m.id FROM queues_batch m WHERE m.id = a.id OR m.parent_id = a.id))
        AND c.state = 'held' AND c.held_why = 'stage')
ORDER BY a.id
LIMIT %(limit)s::int
