-- A parked chunk that its last job has left is over.
UPDATE queues_chunk SET state = 'done', held_why = '', finished_at = clock_timestamp()
WHERE id = ANY(%(chunks)s::bigint[]) AND state = 'parked' AND size = 0
