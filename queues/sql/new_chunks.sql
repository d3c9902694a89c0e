-- Chunks of jobs that leave the chunk of their birth: to be tried again, or parked for a person.
-- `again` says whether they wait for a next try, where being ready does not mean that. They are as old as the oldest chunk they come from: so the archive knows when a job was enqueued.
INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, created_at, state, held_why, size, bytes,
                          job_ids, solo, losses, tries, has_keys, is_retry, run_id, run_ids)
SELECT g.id, g.queue, g.batch, g.handler, g.priority,
       greatest(g.until, clock_timestamp() + make_interval(secs => g.delay)),
       coalesce((SELECT min(o.created_at) FROM queues_chunk o WHERE o.id = ANY(g.origins)), now()),
       g.state, g.held_why, cardinality(g.job_ids), g.bytes, g.job_ids, g.solo, g.losses, g.tries, g.has_keys,
       coalesce(g.again, g.state = 'ready'),
       g.run, CASE WHEN g.run IS NULL THEN '{}'::bigint[] ELSE ARRAY[g.run] END
FROM jsonb_to_recordset(%(groups)s::jsonb)
     AS g(id bigint, queue bigint, batch bigint, handler text, priority smallint, delay float,
          until timestamptz, state text, held_why text, bytes bigint, job_ids bigint[], solo boolean,
          losses int, tries int, has_keys boolean, again boolean, run bigint, origins bigint[])
