-- Dead letters, with the number of tries that the attempts (written before, in this transaction) tell.
INSERT INTO queues_deadletter (job_id, queue_id, batch_id, handler, fingerprint, reason, error_class, message,
                               attempts)
SELECT d.job, %(queue)s::bigint, d.batch, %(handler)s::text, d.fingerprint, d.reason, d.error_class, d.message,
       (SELECT count(*) FROM queues_attempt o WHERE o.job_id = d.job)
FROM unnest(%(jobs)s::bigint[], %(batches)s::bigint[], %(fingerprints)s::text[], %(reasons)s::text[],
            %(error_classes)s::text[], %(messages)s::text[])
     AS d(job, batch, fingerprint, reason, error_class, message)
