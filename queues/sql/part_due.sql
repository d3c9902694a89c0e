-- Within a union: of the part of one priority, the jobs that are due, scheduled, and waiting for their next try, and
-- the rows.
SELECT MAX(rows.priority),
       COALESCE(SUM(rows.jobs) FILTER (WHERE rows.kind = 0), 0),
       COALESCE(SUM(rows.jobs) FILTER (WHERE rows.kind = 1), 0),
       COALESCE(SUM(rows.jobs) FILTER (WHERE rows.kind = 2), 0),
       COUNT(*)
FROM ({part}) AS rows(priority, jobs, kind)
