-- What a lost run held goes back, to run alone; in a stopping batch it ends instead.
UPDATE queues_chunk
SET state = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN 'cancelled' ELSE 'ready' END,
    losses = losses + 1, solo = true,
    cancelled = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN size - succeeded ELSE cancelled END,
    finished_at = CASE WHEN id = ANY(%(cancel)s::bigint[]) THEN clock_timestamp() END
WHERE run_id = %(run)s::bigint AND state = 'leased'
