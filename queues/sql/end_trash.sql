-- Deleted jobs that a person has removed for good end as cancelled, whole chunks; the archive calls them deleted.
UPDATE queues_chunk SET state = 'cancelled', cancelled = size, finished_at = clock_timestamp()
WHERE id = ANY(%(chunks)s::bigint[]) AND state = 'parked' AND held_why = 'trashed'
