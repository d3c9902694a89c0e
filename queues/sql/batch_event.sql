-- What is told of a batch: one JSON object, the same for signals and webhooks. No row for a part: its parent tells.
SELECT json_build_object(
           'batch', b.id, 'name', b.name, 'queue', q.name, 'handler', b.handler, 'state', b.state,
           'stop_reason', b.stop_reason, 'failure_mode', b.failure_mode, 'total', b.total, 'succeeded', b.succeeded,
           'dead', b.dead, 'cancelled', b.cancelled, 'generation', b.generation, 'created_by', b.created_by,
           'created_at', to_char(b.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'queued_at', to_char(b.queued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'started_at', to_char(b.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'finished_at', to_char(b.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       )::text
FROM queues_batch b JOIN queues_queue q ON q.id = b.queue_id
WHERE b.id = %(batch)s::bigint AND b.parent_id IS NULL
