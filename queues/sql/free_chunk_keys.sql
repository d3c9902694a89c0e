-- The unique keys of all members of chunks that have been cancelled whole.
DELETE FROM queues_jobkey k
USING queues_chunk c, queues_job j
WHERE c.id = ANY(%(chunks)s::bigint[]) AND c.has_keys
  AND j.id = k.job_id AND j.chunk_id = c.id
  AND (k.job_id = ANY(c.job_ids) OR (k.job_id >= c.first_id AND k.job_id < c.first_id + c.span))
