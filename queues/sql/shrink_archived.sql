-- Jobs have left held, archived chunks.
UPDATE queues_chunk c
SET size = c.size - n.succeeded - n.cancelled, succeeded = c.succeeded - n.succeeded,
    cancelled = c.cancelled - n.cancelled
FROM unnest(%(chunks)s::bigint[], %(succeeded)s::int[], %(cancelled)s::int[]) AS n(id, succeeded, cancelled)
WHERE c.id = n.id AND c.archived_at IS NOT NULL
