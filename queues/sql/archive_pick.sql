-- The next chunks of one queue that may be archived, oldest end first, after a key, until they hold enough jobs.
-- Unlocked: the lock asks again. A chunk of a batch that runs stays, so that all of a batch is in one place.
-- What was cancelled may have a time of its own; the shorter of the two, which is a value, bounds the index.
SELECT id, finished_at, lowest, highest
FROM (
    SELECT p.*, sum(p.size) OVER (ORDER BY p.finished_at, p.id ROWS UNBOUNDED PRECEDING) - p.size AS jobs_before
    FROM (
        SELECT c.id, c.finished_at, c.size,
               coalesce(c.first_id, (SELECT min(j) FROM unnest(c.job_ids) j)) AS lowest,
               coalesce(c.first_id + c.span - 1, (SELECT max(j) FROM unnest(c.job_ids) j)) AS highest
        FROM queues_chunk c
        WHERE c.queue_id = %(queue)s::bigint AND c.state IN ('done', 'cancelled') AND c.archived_at IS NULL
          AND c.finished_at <= statement_timestamp()
              - make_interval(secs => least(%(grace)s::float, %(cancelled_grace)s::float))
          AND c.finished_at <= statement_timestamp() - make_interval(secs => CASE
              WHEN c.state = 'cancelled' AND c.held_why = '' THEN coalesce(%(cancelled_grace)s::float, %(grace)s::float)
              ELSE %(grace)s::float END)
          AND (c.finished_at, c.id) > (%(after_at)s::timestamptz, %(after)s::bigint)
          AND NOT EXISTS (SELECT FROM queues_batch b WHERE b.id = c.batch_id AND b.state = 'running')
          AND c.id <> ALL(%(skip)s::bigint[])
        ORDER BY c.finished_at, c.id
        LIMIT %(chunks)s::int
    ) p
) s
WHERE jobs_before < %(jobs)s::bigint
ORDER BY finished_at, id
