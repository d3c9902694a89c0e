-- One of several counts in a row.
(SELECT COUNT(*) FROM ({part}) AS found)
