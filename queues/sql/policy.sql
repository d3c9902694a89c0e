-- What a run needs to know of its queue; read once for each slice of work.
SELECT id, name, run_size, chunk_size, concurrency, acknowledge, max_attempts, backoff, backoff_base, backoff_cap,
       jitter, timeout, keep_results, max_runs IS NOT NULL,
       flush_jobs IS NOT NULL OR flush_bytes IS NOT NULL OR flush_seconds IS NOT NULL,
       run_start, run_least, run_target, settle_jobs
FROM queues_queue
WHERE id = %(queue)s::bigint
