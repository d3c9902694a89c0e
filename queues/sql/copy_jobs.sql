-- Text format, whole blocks of lines made by the client: the fastest way in that was measured.
COPY queues_job (id, chunk_id, batch_id, payload) FROM STDIN
