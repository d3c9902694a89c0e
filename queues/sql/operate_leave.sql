-- Jobs have left held chunks, or have been cancelled in them. What was waiting and has nothing left to do is over; so is a
-- parked chunk that its last job has left. A chunk of cancelled jobs only is a cancelled one: the archive has a time of
-- its own for these.
UPDATE queues_chunk c
SET size = n.size, cancelled = n.cancelled,
    state = CASE WHEN NOT n.over THEN c.state WHEN n.cancelled > 0 AND c.succeeded = 0 THEN 'cancelled' ELSE 'done' END,
    held_why = CASE WHEN n.over THEN '' ELSE c.held_why END,
    finished_at = CASE WHEN n.over THEN clock_timestamp() ELSE c.finished_at END
FROM (
    SELECT o.id, o.size - l.gone AS size, o.cancelled + l.cancelled AS cancelled,
           o.state IN ('ready', 'held', 'parked') AND o.size - l.gone = o.succeeded + o.cancelled + l.cancelled AS over
    FROM unnest(%(chunks)s::bigint[], %(gone)s::int[], %(cancelled)s::int[]) AS l(id, gone, cancelled)
    JOIN queues_chunk o ON o.id = l.id
) n
WHERE c.id = n.id
