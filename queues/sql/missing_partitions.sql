-- Which of these partitions of the archive do not exist.
SELECT n FROM unnest(%(numbers)s::bigint[]) n WHERE to_regclass('queues_archivedjob_p' || n) IS NULL
