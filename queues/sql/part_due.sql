-- Within a union: of the part of one priority, the jobs that are due and those that are not, and the rows.
SELECT MAX(rows.priority),
       COALESCE(SUM(rows.jobs) FILTER (WHERE rows.due), 0),
       COALESCE(SUM(rows.jobs) FILTER (WHERE NOT rows.due), 0),
       COUNT(*)
FROM ({part}) AS rows(priority, jobs, due)
