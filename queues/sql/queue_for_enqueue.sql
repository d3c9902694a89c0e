-- What an enqueue needs to know of a queue.
SELECT id, handler, chunk_size, default_priority FROM queues_queue WHERE name = %(name)s
