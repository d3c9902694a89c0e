-- How many rows several parts have in all; reading ends at the most.
SELECT COUNT(*) FROM (SELECT * FROM ({parts}) AS parts LIMIT {most:d}) AS counted
