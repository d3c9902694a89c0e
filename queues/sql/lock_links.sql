-- One linker at a time: two links made at once could close a circle that neither of them sees.
SELECT pg_advisory_xact_lock(hashtext('queues_batchlink'))
