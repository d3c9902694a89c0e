-- What a lost run held goes back, to run alone; in a paused batch it is held, in a stopping one it ends instead.
UPDATE queues_chunk
SET state = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN 'cancelled' WHEN id = ANY(%(hold)s::bigint[]) THEN 'held'
                 ELSE 'ready' END,
    held_why = CASE WHEN id = ANY(%(hold)s::bigint[]) AND NOT id = ANY(%(cancel)s::bigint[]) THEN 'paused' ELSE '' END,
    losses = losses + 1, solo = true,
    cancelled = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN size - succeeded ELSE cancelled END,
    finished_at = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN clock_timestamp() END
WHERE run_id = %(run)s::bigint AND state = 'leased'
