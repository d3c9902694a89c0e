-- The chunks of the next dead letters of a queue that nobody came for, oldest first, after a key: the key of the last
-- letter looked at, and of each chunk its id and the lowest and highest of its jobs. By letters, because only they know
-- when a job has died. Unlocked: the lock asks again. Those of a batch that runs stay; the key leads past them.
WITH letter AS MATERIALIZED (
    SELECT job_id, died_at FROM queues_deadletter
    WHERE queue_id = %(queue)s::bigint
      AND died_at <= statement_timestamp() - make_interval(secs => %(grace)s::float)
      AND (died_at, job_id) > (%(after_at)s::timestamptz, %(after)s::bigint)
    ORDER BY died_at, job_id
    LIMIT %(jobs)s::int
),
chunk AS MATERIALIZED (
    SELECT c.id, (SELECT min(m) FROM unnest(c.job_ids) m) AS lowest, (SELECT max(m) FROM unnest(c.job_ids) m) AS highest
    FROM queues_chunk c
    WHERE c.id = ANY(ARRAY(SELECT DISTINCT j.chunk_id FROM letter l JOIN queues_job j ON j.id = l.job_id))
      AND c.state = 'parked' AND c.held_why = 'dead'
      AND NOT EXISTS (SELECT FROM queues_batch b WHERE b.id = c.batch_id AND b.state = 'running')
    ORDER BY c.id
)
SELECT l.died_at, l.job_id, ARRAY(SELECT id FROM chunk ORDER BY id), ARRAY(SELECT lowest FROM chunk ORDER BY id),
       ARRAY(SELECT highest FROM chunk ORDER BY id)
FROM letter l
ORDER BY l.died_at DESC, l.job_id DESC
LIMIT 1
