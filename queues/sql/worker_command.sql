-- What a worker has been told from outside. By primary key, once a second for each worker.
SELECT command FROM queues_worker WHERE id = %(worker)s::uuid
