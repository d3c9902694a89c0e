-- A consumer's run, locked for one of its commits, and how long its lease still lasts. Later commits wait, renewals pass by.
SELECT state, step, extract(epoch FROM lease_until - clock_timestamp())::float
FROM queues_run WHERE id = %(run)s::bigint
FOR NO KEY UPDATE
