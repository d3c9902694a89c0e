-- Deleted jobs that nobody has brought back in time end as cancelled, whole chunks; the archive calls them deleted.
WITH old AS (
    SELECT id FROM queues_chunk
    WHERE state = 'parked' AND held_why = 'trashed'
      AND created_at <= statement_timestamp() - make_interval(secs => %(seconds)s::float)
    ORDER BY created_at, id
    LIMIT %(chunks)s::int
    FOR UPDATE SKIP LOCKED
)
UPDATE queues_chunk c
SET state = 'cancelled', cancelled = c.size - c.succeeded, finished_at = clock_timestamp()
FROM old WHERE c.id = old.id AND c.state = 'parked'
RETURNING c.size
