-- Holds the archived chunks that jobs are to leave, in the order of their ids.
SELECT id FROM queues_chunk WHERE id = ANY(%(chunks)s::bigint[]) AND archived_at IS NOT NULL ORDER BY id FOR UPDATE
