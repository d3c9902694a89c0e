-- A working process says that it is there.
INSERT INTO queues_worker (id, name, host, machine, pid, process_started, version, queues, state)
VALUES (%(worker)s::uuid, %(name)s, %(host)s, %(machine)s, %(pid)s, %(process_started)s, %(version)s,
        %(queues)s::text[], 'ready')
