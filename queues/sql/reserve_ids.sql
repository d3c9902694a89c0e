-- A block of consecutive ids; the first one is returned. See migration 0002 for the lock it takes.
SELECT queues_reserve_ids(%(sequence)s::text::regclass, %(wanted)s::bigint)
