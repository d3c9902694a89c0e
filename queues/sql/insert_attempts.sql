-- One row for each failed try; numbered after those that the job already has. As JSON, because psycopg
-- takes ten times as long to write arrays of texts.
INSERT INTO queues_attempt (job_id, run_id, worker_id, number, kind, started_at, finished_at, error_class,
                            message, traceback, fingerprint)
SELECT a.job, %(run)s::bigint, %(worker)s::uuid,
       (SELECT coalesce(max(o.number), 0) + 1 FROM queues_attempt o WHERE o.job_id = a.job),
       a.kind, clock_timestamp() - make_interval(secs => a.started_ago),
       clock_timestamp() - make_interval(secs => a.ended_ago), a.error_class, a.message,
       a.traceback, a.fingerprint
FROM json_to_recordset(%(attempts)s::json)
     AS a(job bigint, kind text, started_ago float, ended_ago float, error_class text, message text,
          traceback text, fingerprint text)
