-- When causes first had a dead letter in a queue, of those that were not known. Which are known is asked first: a cause
-- that goes on costs a look into an index, no row and no lock. In one order, because two that write the same new causes
-- wait for each other.
INSERT INTO queues_seencause (queue_id, fingerprint, first_at)
SELECT c.queue, c.fingerprint, coalesce(c.died_at, statement_timestamp())
FROM unnest(%(queues)s::bigint[], %(fingerprints)s::text[], %(died_at)s::timestamptz[]) AS c(queue, fingerprint, died_at)
WHERE NOT EXISTS (
    SELECT FROM queues_seencause k WHERE k.fingerprint = c.fingerprint AND k.queue_id = c.queue
)
ORDER BY c.fingerprint, c.queue, c.died_at
ON CONFLICT DO NOTHING
