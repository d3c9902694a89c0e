-- The chunks of some batches in the order in which they were made, gathered into a number of cells, and where the jobs of
-- each cell stand. By each batch's chunks in the order of an index, a bounded number of them; the last column is the
-- largest number that one batch has given, by which the caller sees that there are more.
WITH held AS MATERIALIZED (
    SELECT c.*, row_number() OVER (ORDER BY c.id) - 1 AS place, count(*) OVER () AS total,
           count(*) OVER (PARTITION BY c.batch_id) AS own
    FROM unnest(%(batches)s::bigint[]) AS b(id)
    CROSS JOIN LATERAL (
        SELECT id, batch_id, state, held_why, is_retry, size, succeeded, cancelled
        FROM queues_chunk WHERE batch_id = b.id ORDER BY id LIMIT %(most)s::int
    ) c
)
SELECT place * %(cells)s::int / greatest(total, %(cells)s::int) AS cell,
       count(*) FILTER (WHERE size > 0),
       sum(succeeded),
       coalesce(sum(size - succeeded - cancelled) FILTER (WHERE state = 'leased'), 0),
       coalesce(sum(size - succeeded - cancelled) FILTER (WHERE state IN ('ready', 'held') AND NOT is_retry), 0),
       coalesce(sum(size - succeeded - cancelled) FILTER (WHERE state IN ('ready', 'held') AND is_retry), 0),
       coalesce(sum(size) FILTER (WHERE state IN ('parked', 'cancelled') AND held_why = 'dead'), 0),
       coalesce(sum(cancelled) FILTER (WHERE held_why <> 'dead'), 0),
       coalesce(sum(size) FILTER (WHERE state = 'parked' AND held_why = 'trashed'), 0),
       max(own)
FROM held
GROUP BY 1
ORDER BY 1
