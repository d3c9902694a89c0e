-- Within a union: the rows of one part, and the sum of their jobs.
SELECT COUNT(*), COALESCE(SUM(rows.jobs), 0) FROM ({part}) AS rows(jobs)
