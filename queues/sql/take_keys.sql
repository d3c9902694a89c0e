-- Unique keys, inserted in their order: two enqueuers that take the same keys in different orders deadlock.
INSERT INTO queues_jobkey (queue_id, key, job_id)
SELECT %(queue)s, k.key, k.job_id
FROM unnest(%(keys)s::text[], %(jobs)s::bigint[]) AS k(key, job_id)
ORDER BY k.key
ON CONFLICT (queue_id, key) DO NOTHING
RETURNING key
