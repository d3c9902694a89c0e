-- One page of jobs that no chunk counts: the last id of the page, and what is wrong with which of them.
WITH page AS MATERIALIZED (
    SELECT id, chunk_id, batch_id FROM queues_job WHERE id > %(after)s::bigint ORDER BY id LIMIT %(limit)s::int
),
judged AS (
    SELECT p.id,
           CASE WHEN c.id IS NULL THEN 'its chunk ' || p.chunk_id || ' does not exist'
                WHEN c.archived_at IS NOT NULL THEN 'its chunk ' || c.id || ' is archived'
                WHEN c.batch_id IS DISTINCT FROM p.batch_id THEN 'its chunk ' || c.id || ' is of another batch'
                WHEN NOT coalesce(p.id = ANY(c.job_ids) OR (p.id >= c.first_id AND p.id < c.first_id + c.span),
                                  false) THEN 'its chunk ' || c.id || ' does not know it'
                WHEN EXISTS (SELECT FROM queues_archivedjob a WHERE a.id = p.id) THEN 'it is archived as well'
           END AS flaw
    FROM page p LEFT JOIN queues_chunk c ON c.id = p.chunk_id
)
SELECT (SELECT max(id) FROM page),
       coalesce((SELECT json_agg(json_build_array(id, flaw) ORDER BY id) FROM judged WHERE flaw IS NOT NULL), '[]')
