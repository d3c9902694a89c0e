-- What the database knows of the chunks that a run still holds.
SELECT id, size, succeeded, cancelled, ended FROM queues_chunk WHERE run_id = %(run)s::bigint AND state = 'leased'
