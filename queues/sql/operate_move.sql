-- A person moves jobs to other chunks, from those in which they are known to be; the count that comes back must be theirs.
-- They lose a state of their own. `afresh`: they get all their attempts again.
UPDATE queues_job j
SET chunk_id = m.new_chunk, failures = CASE WHEN m.afresh THEN 0 ELSE j.failures END, own_state = NULL
FROM unnest(%(jobs)s::bigint[], %(old_chunks)s::bigint[], %(new_chunks)s::bigint[], %(afresh)s::boolean[])
     AS m(id, old_chunk, new_chunk, afresh)
WHERE j.id = m.id AND j.chunk_id = m.old_chunk
