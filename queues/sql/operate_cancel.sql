-- A person cancels jobs where they are; the count that comes back must be theirs.
UPDATE queues_job j SET own_state = 'cancelled'
FROM unnest(%(jobs)s::bigint[], %(chunks)s::bigint[]) AS m(id, chunk)
WHERE j.id = m.id AND j.chunk_id = m.chunk AND j.own_state IS NULL
