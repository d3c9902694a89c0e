-- Results that came after their lease had been lost: dropped, but counted.
WITH run AS (
    UPDATE queues_run SET late = late + %(late)s::int WHERE id = %(run)s::bigint RETURNING worker_id
)
UPDATE queues_worker SET late = late + %(late)s::int WHERE id = (SELECT worker_id FROM run)
