-- Ends a batch that the caller holds. With the commit, whoever waits for the end is woken. A pause ends with the batch and
-- its parts; a part keeps that of its parent, which goes on: should it run again meanwhile, it is still paused.
WITH parts AS (
    UPDATE queues_batch SET paused_at = NULL, paused_by = '', pause_reason = ''
    WHERE parent_id = %(batch)s::bigint AND paused_at IS NOT NULL
)
UPDATE queues_batch
SET state = %(state)s, finished_at = clock_timestamp(), generation = generation + 1,
    queued_at = coalesce(queued_at, clock_timestamp()), started_at = coalesce(started_at, clock_timestamp()),
    succeeded = %(succeeded)s, dead = %(dead)s, cancelled = %(cancelled)s,
    paused_at = CASE WHEN parent_id IS NOT NULL THEN paused_at END,
    paused_by = CASE WHEN parent_id IS NOT NULL THEN paused_by ELSE '' END,
    pause_reason = CASE WHEN parent_id IS NOT NULL THEN pause_reason ELSE '' END
WHERE id = %(batch)s::bigint AND state = 'running'
RETURNING pg_notify('queues_batch_end', id::text)
