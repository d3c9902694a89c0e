"""Worker processes under one parent that starts another for each that dies, as Celery's prefork pool does.

    python -m tests.concurrency.worker CHILDREN QUEUE...

A SIGTERM for the parent stops all of them gracefully. A child whose parent has gone ends too.
"""

import os
import sys
import time

import django

django.setup()

from batchconsole.celery import app  # noqa: E402
from queues import serve, shutdown, store, tasks  # noqa: E402, F401
from queues.models import Queue  # noqa: E402
from queues.services import finish, reap  # noqa: E402

IDLE = 0.02


def child(names: list[str], parent: int) -> None:
    """Work until told to stop."""
    queues: list[int] = []
    while not shutdown.requested() and os.getppid() == parent:
        try:
            queues = queues or [Queue.objects.get(name=name).pk for name in names]
            if not sum([serve.serve_queue(queue) for queue in queues]):
                reap.reap()
                finish.sweep()
                time.sleep(IDLE)
        except store.CONNECTION_ERRORS:
            store.reset()
            time.sleep(IDLE)
    if queues:
        serve.server().leave()


def main(count: int, names: list[str]) -> None:
    """Keep so many children running."""
    shutdown.request_on_signals()
    app.finalize()  # once here, not in every child
    parent, living = os.getpid(), set[int]()
    while not shutdown.requested() or living:
        while len(living) < count and not shutdown.requested():
            if pid := os.fork():
                living.add(pid)
                continue
            try:
                child(names, parent)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        ended, _status = os.waitpid(-1, os.WNOHANG) if living else (0, 0)
        living.discard(ended)
        if not ended:
            time.sleep(IDLE / 4)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
