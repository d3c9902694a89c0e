-- The ids of a block of jobs and of its chunks, each consecutive; the first of each is returned. See migration 0002.
SELECT queues_reserve_ids('queues_job_id_seq', %(jobs)s::bigint), queues_reserve_ids('queues_chunk_id_seq', %(chunks)s::bigint)
