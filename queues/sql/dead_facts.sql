-- What is told of jobs that have just died, as JSON, and their payloads where these are wanted.
SELECT json_build_object(
           'job', l.job_id, 'batch', l.batch_id, 'queue', q.name, 'handler', l.handler, 'attempts', l.attempts,
           'reason', l.reason, 'error_class', l.error_class, 'message', l.message, 'fingerprint', l.fingerprint,
           'died_at', to_char(l.died_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       )::text,
       CASE WHEN %(payloads)s THEN j.payload::text END
FROM queues_deadletter l
JOIN queues_queue q ON q.id = l.queue_id
LEFT JOIN queues_job j ON j.id = l.job_id
WHERE l.job_id = ANY(%(jobs)s::bigint[])
ORDER BY l.job_id
