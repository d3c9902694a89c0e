-- The partitions of the archive by number: the rows that the planner believes to be in each, and its bytes on disk.
SELECT substring(c.relname FROM '_p(\d+)$')::bigint, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'queues_archivedjob'::regclass
ORDER BY 1
