-- After a fence that changed nothing: was it my own commit whose answer was lost, or is the lease gone?
SELECT state, step FROM queues_run WHERE id = %(run)s::bigint
