-- What became of a run. Read only while somebody listens.
SELECT state, claimed, wanted, chunks, succeeded, failed, retried, dead, cancelled, returned
FROM queues_run
WHERE id = %(run)s::bigint
