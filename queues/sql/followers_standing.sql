-- Of some batches those that still wait, held by their stage or still open, and how the batches before them stand.
SELECT a.id, a.queue_id, a.after_policy, array_remove(array_agg(b.state::text), NULL)
FROM queues_batch a
LEFT JOIN queues_batchlink l ON l.after_id = a.id
LEFT JOIN queues_batch b ON b.id = l.before_id
WHERE a.id = ANY(%(batches)s::bigint[]) AND a.parent_id IS NULL AND a.state = 'running' AND a.stop_reason = ''
  AND (a.sealed_at IS NULL OR a.total = 0 OR EXISTS (
      SELECT FROM queues_chunk c
      WHERE c.batch_id = ANY(ARRAY(SELECT m.id FROM queues_batch m WHERE m.id = a.id OR m.parent_id = a.id))
        AND c.state = 'held' AND c.held_why = 'stage'
  ))
GROUP BY a.id
ORDER BY a.id
