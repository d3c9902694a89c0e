-- Holds the chunks of one round of a deletion: an archiver that has some of them is waited for.
SELECT id FROM queues_chunk WHERE id = ANY(%(chunks)s::bigint[]) ORDER BY id FOR UPDATE
