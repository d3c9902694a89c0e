-- Places of limited queues that runs hold which have ended: the queue would never be full again.
SELECT q.name, s.number, s.run_id, coalesce(r.state, 'gone')
FROM queues_queueslot s
JOIN queues_queue q ON q.id = s.queue_id
LEFT JOIN queues_run r ON r.id = s.run_id
WHERE s.run_id IS NOT NULL AND r.state IS DISTINCT FROM 'running'
ORDER BY q.name, s.number
