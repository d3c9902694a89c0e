-- Several counts in one row.
SELECT {counts}
