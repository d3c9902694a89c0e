-- Which queues and how many batches each cause has hit lately: by the newest letters of each, so that a cause with a
-- hundred thousand of them costs no more than one with a hundred.
SELECT f.fingerprint, array_agg(DISTINCT coalesce(q.name, '')), count(DISTINCT d.batch_id)
FROM unnest(%(fingerprints)s::text[]) AS f(fingerprint)
CROSS JOIN LATERAL (
    SELECT queue_id, batch_id FROM queues_deadletter
    WHERE fingerprint = f.fingerprint
    ORDER BY died_at DESC, job_id DESC
    LIMIT %(newest)s::int
) d
LEFT JOIN queues_queue q ON q.id = d.queue_id
GROUP BY f.fingerprint
