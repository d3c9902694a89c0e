-- The highest number that a job has been given so far: what gets a higher one had not been there.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM queues_job_id_seq
