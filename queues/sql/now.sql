-- The time of the database's clock, also within a transaction.
SELECT clock_timestamp()
