-- Deleted jobs that nobody has brought back in time end as cancelled, whole chunks; the archive calls them deleted.
-- What they were before is forgotten: of those that still are in their chunk, which is held here.
WITH old AS MATERIALIZED (
    SELECT id, job_ids FROM queues_chunk
    WHERE state = 'parked' AND held_why = 'trashed'
      AND created_at <= statement_timestamp() - make_interval(secs => %(seconds)s::float)
    ORDER BY created_at, id
    LIMIT %(chunks)s::int
    FOR UPDATE SKIP LOCKED
),
forgotten AS (
    DELETE FROM queues_trashedjob WHERE job_id = ANY(ARRAY(
        SELECT j.id FROM old o CROSS JOIN LATERAL unnest(o.job_ids) AS m(id)
        JOIN queues_job j ON j.id = m.id AND j.chunk_id = o.id))
)
UPDATE queues_chunk c
SET state = 'cancelled', cancelled = c.size - c.succeeded, finished_at = clock_timestamp()
FROM old WHERE c.id = old.id AND c.state = 'parked'
RETURNING c.size
