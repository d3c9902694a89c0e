-- The workers that should be alive on this machine.
SELECT id, pid, process_started FROM queues_worker WHERE machine = %(machine)s AND state <> 'stopped'
