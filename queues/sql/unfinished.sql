-- Whether anything of a batch is unfinished: a chunk of its own, or a part.
SELECT EXISTS (SELECT FROM queues_chunk WHERE batch_id = %(batch)s::bigint AND state IN ('ready', 'held', 'leased'))
    OR EXISTS (SELECT FROM queues_batch WHERE parent_id = %(batch)s::bigint AND state = 'running')
