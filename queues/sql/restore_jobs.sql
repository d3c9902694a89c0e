-- Moves jobs out of the archive into their new chunks; the count that comes back must be theirs.
WITH gone AS (
    DELETE FROM queues_archivedjob WHERE id = ANY(%(jobs)s::bigint[]) RETURNING id, batch_id, payload
)
INSERT INTO queues_job (id, chunk_id, batch_id, payload)
SELECT g.id, w.chunk, g.batch_id, g.payload
FROM gone g JOIN unnest(%(jobs)s::bigint[], %(chunks)s::bigint[]) AS w(id, chunk) ON w.id = g.id
