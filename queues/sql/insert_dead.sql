-- Dead letters, with the number of tries that the attempts (written before, in this transaction) tell.
INSERT INTO queues_deadletter (job_id, queue_id, batch_id, handler, fingerprint, reason, error_class, message,
                               attempts)
SELECT d.job, %(queue)s::bigint, d.batch, %(handler)s::text, d.fingerprint, d.reason, d.error_class, d.message,
       (SELECT count(*) FROM queues_attempt o WHERE o.job_id = d.job)
FROM json_to_recordset(%(letters)s::json)
     AS d(job bigint, batch bigint, fingerprint text, reason text, error_class text, message text)
