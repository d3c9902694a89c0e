-- One page of unique keys whose job has ended: nobody would ever free them.
WITH page AS MATERIALIZED (
    SELECT id, key, job_id FROM queues_jobkey WHERE id > %(after)s::bigint ORDER BY id LIMIT %(limit)s::int
)
SELECT (SELECT max(id) FROM page),
       coalesce((
           SELECT json_agg(json_build_array(p.key, p.job_id) ORDER BY p.id)
           FROM page p
           LEFT JOIN queues_job j ON j.id = p.job_id
           LEFT JOIN queues_chunk c ON c.id = j.chunk_id
           WHERE c.id IS NULL OR c.state IN ('done', 'cancelled') OR j.own_state IS NOT NULL
              OR coalesce(CASE WHEN p.job_id >= c.first_id AND p.job_id - c.first_id < length(c.ended) * 8
                               THEN get_bit(c.ended, (p.job_id - c.first_id)::int) = 1 END, false)
              OR coalesce(CASE WHEN array_position(c.job_ids, p.job_id) <= length(c.ended) * 8
                               THEN get_bit(c.ended, array_position(c.job_ids, p.job_id) - 1) = 1 END, false)),
           '[]')
