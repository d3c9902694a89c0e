-- The next chunks of a batch, or of its parts, that are deleted with it, until they hold enough jobs; at least one.
SELECT id
FROM (
    SELECT p.id, sum(p.size) OVER (ORDER BY p.id ROWS UNBOUNDED PRECEDING) - p.size AS jobs_before
    FROM (
        SELECT c.id, c.size FROM queues_chunk c
        WHERE c.batch_id = ANY(%(batches)s::bigint[])
        ORDER BY c.id
        LIMIT %(chunks)s::int
    ) p
) s
WHERE jobs_before < %(jobs)s::bigint
ORDER BY id
