-- What the server says of itself, for the doctor.
SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('synchronous_commit'), current_setting('fsync'), current_setting('TimeZone'),
       clock_timestamp(),
       (SELECT last_value FROM queues_job_id_seq), (SELECT coalesce(max(id), 0) FROM queues_job)
