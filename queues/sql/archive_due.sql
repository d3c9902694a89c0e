-- What the next archiving would move, for each queue.
SELECT q.name, count(*), sum(c.size)::bigint
FROM queues_queue q
JOIN queues_chunk c ON c.queue_id = q.id AND c.state IN ('done', 'cancelled') AND c.archived_at IS NULL
 AND c.finished_at <= statement_timestamp() - make_interval(secs => q.archive_after)
WHERE NOT EXISTS (SELECT FROM queues_batch b WHERE b.id = c.batch_id AND b.state = 'running')
GROUP BY q.name
ORDER BY q.name
