-- Takes unique keys for jobs that come back or move to another queue; those that were free. Sorted, as every enqueue does it.
INSERT INTO queues_jobkey (queue_id, key, job_id)
SELECT w.queue, w.key, w.job
FROM unnest(%(queues)s::bigint[], %(keys)s::text[], %(jobs)s::bigint[]) AS w(queue, key, job)
ORDER BY w.queue, w.key
ON CONFLICT DO NOTHING
RETURNING job_id
