-- What a queue that collects waits for, and how long the oldest of a run has waited. Read only while somebody listens.
SELECT flush_jobs, flush_bytes, flush_seconds, extract(epoch FROM clock_timestamp())::float - %(oldest)s::float
FROM queues_queue
WHERE id = %(queue)s::bigint
