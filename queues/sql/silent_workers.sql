-- Workers that have not been heard of for long: they are stopped for the record; their leases end by themselves.
UPDATE queues_worker SET state = 'stopped', stopped_at = clock_timestamp()
WHERE state <> 'stopped' AND heartbeat_at < clock_timestamp() - make_interval(secs => %(seconds)s::float)
RETURNING id, name
