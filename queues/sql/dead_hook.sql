-- Which handler gets the dead letters of a queue, and whether the handler of the dead is itself such a one: then nobody
-- does, for a dead letter of a dead letter's handler could go on for ever.
SELECT q.dead_letter_handler, q.name, EXISTS (SELECT FROM queues_queue o WHERE o.dead_letter_handler = %(handler)s::text)
FROM queues_queue q
WHERE q.id = %(queue)s::bigint
