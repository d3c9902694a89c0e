-- What the next archiving would move, for each queue: chunks, jobs, and the jobs by how they have ended.
SELECT q.name, count(*), sum(c.size)::bigint, sum(c.succeeded)::bigint,
       coalesce(sum(c.cancelled) FILTER (WHERE c.held_why = ''), 0)::bigint,
       coalesce(sum(c.cancelled) FILTER (WHERE c.held_why = 'trashed'), 0)::bigint,
       coalesce(sum(c.size) FILTER (WHERE c.state = 'parked'), 0)::bigint
FROM queues_queue q
CROSS JOIN LATERAL (
    SELECT c.state, c.held_why, c.batch_id, c.size, c.succeeded, c.cancelled
    FROM queues_chunk c
    WHERE c.queue_id = q.id AND c.state IN ('done', 'cancelled') AND c.archived_at IS NULL
      AND c.finished_at <= statement_timestamp() - make_interval(secs => CASE
          WHEN c.state = 'cancelled' AND c.held_why = '' THEN coalesce(q.archive_cancelled_after, q.archive_after)
          ELSE q.archive_after END)
    UNION ALL
    SELECT c.state, c.held_why, c.batch_id, c.size, c.succeeded, c.cancelled
    FROM queues_chunk c
    WHERE c.queue_id = q.id AND c.state = 'parked' AND c.held_why = 'dead'
      AND EXISTS (SELECT FROM queues_deadletter d WHERE d.job_id = ANY(c.job_ids)
                  AND d.died_at <= statement_timestamp() - make_interval(secs => q.archive_dead_after))
) c
WHERE NOT EXISTS (SELECT FROM queues_batch b WHERE b.id = c.batch_id AND b.state = 'running')
GROUP BY q.name
ORDER BY q.name
