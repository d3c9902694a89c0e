-- Holds chunks of dead letters; those that somebody works on, or has emptied meanwhile, are left for another time.
SELECT id FROM queues_chunk
WHERE id = ANY(%(chunks)s::bigint[]) AND state = 'parked' AND held_why = 'dead'
ORDER BY id
FOR UPDATE SKIP LOCKED
