-- The enabled webhooks that want an event of a queue (or of a batch's), and the time of it. A table of few rows, read as a
-- whole in the transaction of the change: what was switched on or off before is respected at once. The queue of the
-- deliveries tells nothing of itself. The queue is only looked for where there is a webhook.
SELECT w.id, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM queues_webhook w
WHERE w.enabled AND %(event)s::text = ANY(w.events)
  AND (SELECT (w.queue_id IS NULL OR w.queue_id = q.id) AND q.name <> %(own)s
       FROM queues_queue q
       WHERE q.id = coalesce(%(queue)s::bigint, (SELECT queue_id FROM queues_batch WHERE id = %(batch)s::bigint)))
ORDER BY w.id
