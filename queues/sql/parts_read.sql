-- All rows of several parts.
SELECT * FROM ({parts}) AS parts
