-- Jobs have left a held chunk.
UPDATE queues_chunk SET size = size - %(gone)s::int WHERE id = %(chunk)s::bigint
