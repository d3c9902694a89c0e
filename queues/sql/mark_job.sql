-- What a careful run is about to start: the suspect, should the process die now.
UPDATE queues_run SET marked_job = %(job)s::bigint
WHERE id = %(run)s::bigint AND state = 'running'
