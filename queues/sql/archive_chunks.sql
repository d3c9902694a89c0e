-- What becomes of emptied chunks: those of a batch keep its sum true until it is purged, the others go.
WITH kept AS (
    UPDATE queues_chunk SET archived_at = clock_timestamp()
    WHERE id = ANY(%(chunks)s::bigint[]) AND batch_id IS NOT NULL
)
DELETE FROM queues_chunk WHERE id = ANY(%(chunks)s::bigint[]) AND batch_id IS NULL
