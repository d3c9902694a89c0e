-- One page of deleted jobs that are not where deleted jobs are: they could not be brought back.
WITH page AS MATERIALIZED (
    SELECT job_id FROM queues_trashedjob WHERE job_id > %(after)s::bigint ORDER BY job_id LIMIT %(limit)s::int
)
SELECT (SELECT max(job_id) FROM page),
       ARRAY(SELECT p.job_id
             FROM page p
             LEFT JOIN queues_job j ON j.id = p.job_id
             LEFT JOIN queues_chunk c ON c.id = j.chunk_id
             WHERE c.state IS DISTINCT FROM 'parked' OR c.held_why IS DISTINCT FROM 'trashed'
             ORDER BY p.job_id)
