-- Failed tries of one job, and the chunk it is in.
SELECT failures, chunk_id FROM queues_job WHERE id = %(job)s::bigint
