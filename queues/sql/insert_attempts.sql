-- One row for each failed try; numbered after those that the job already has.
INSERT INTO queues_attempt (job_id, run_id, worker_id, number, kind, started_at, finished_at, error_class,
                            message, traceback, fingerprint)
SELECT a.job, %(run)s::bigint, %(worker)s::uuid,
       (SELECT coalesce(max(o.number), 0) + 1 FROM queues_attempt o WHERE o.job_id = a.job),
       a.kind, clock_timestamp() - make_interval(secs => a.started_ago),
       clock_timestamp() - make_interval(secs => a.ended_ago), a.error_class, a.message, a.traceback,
       a.fingerprint
FROM unnest(%(jobs)s::bigint[], %(kinds)s::text[], %(started_agos)s::float[], %(ended_agos)s::float[],
            %(error_classes)s::text[], %(messages)s::text[], %(tracebacks)s::text[], %(fingerprints)s::text[])
     AS a(job, kind, started_ago, ended_ago, error_class, message, traceback, fingerprint)
