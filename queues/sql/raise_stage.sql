-- The stage of a batch and of its parts, never lowered.
UPDATE queues_batch SET stage = %(stage)s::smallint
WHERE (id = %(batch)s::bigint OR parent_id = %(batch)s::bigint) AND stage < %(stage)s::smallint
