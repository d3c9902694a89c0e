-- Chunks of jobs that leave the chunk of their birth: to be tried again, or parked for a person.
INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, state, held_why, size, bytes,
                          job_ids, solo, losses, tries, has_keys, is_retry, run_id, run_ids)
SELECT g.id, g.queue, g.batch, g.handler, g.priority,
       coalesce(g.until, clock_timestamp() + make_interval(secs => g.delay)), g.state, g.held_why,
       cardinality(g.job_ids), g.bytes, g.job_ids, g.solo, g.losses, g.tries, g.has_keys, g.state = 'ready',
       g.run, CASE WHEN g.run IS NULL THEN '{}'::bigint[] ELSE ARRAY[g.run] END
FROM jsonb_to_recordset(%(groups)s::jsonb)
     AS g(id bigint, queue bigint, batch bigint, handler text, priority smallint, delay float,
          until timestamptz, state text, held_why text, bytes bigint, job_ids bigint[], solo boolean,
          losses int, tries int, has_keys boolean, run bigint)
