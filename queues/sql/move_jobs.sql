-- Moves jobs from the chunk in which they are known to be; the count that comes back must be theirs.
-- `burn` is added to the failures, a null `own` keeps the job's own state as it is.
UPDATE queues_job j
SET chunk_id = m.new_chunk, failures = j.failures + m.burn, own_state = coalesce(m.own, j.own_state)
FROM unnest(%(jobs)s::bigint[], %(old_chunks)s::bigint[], %(new_chunks)s::bigint[], %(burns)s::smallint[],
            %(owns)s::text[]) AS m(id, old_chunk, new_chunk, burn, own)
WHERE j.id = m.id AND j.chunk_id = m.old_chunk
