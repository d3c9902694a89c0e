-- Gives the place of a limited queue back.
UPDATE queues_queueslot SET run_id = NULL WHERE run_id = %(run)s::bigint
