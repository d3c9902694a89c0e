-- The tables that this transaction has read from end to end so far, and how many rows the planner believes to be in
-- each. The server counts for the transaction itself, so that it tells at once and of nobody else's reading.
SELECT s.relname, s.seq_scan, greatest(c.reltuples, 0)::bigint
FROM pg_stat_xact_user_tables s
JOIN pg_class c ON c.oid = s.relid
WHERE s.seq_scan > 0
ORDER BY s.relname
