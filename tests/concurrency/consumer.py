"""A process that drives the loop itself, and leaves a trace of each job before it settles it.

    python -m tests.concurrency.consumer QUEUE LEASE

A SIGTERM stops it after the job in hand.
"""

import sys
import time

import django

django.setup()

from queues import consume, shutdown, store  # noqa: E402
from queues.services import reap  # noqa: E402
from tests.concurrency.handlers import leave_trace  # noqa: E402

# Seconds that a job takes.
WORK = 0.005


def main(queue: str, lease: float) -> None:
    """Take, work, settle one by one."""
    for held in consume(queue, want=50, lease=lease, idle=(0.02, 0.1)):
        for job in held:
            time.sleep(WORK)
            leave_trace(job)
            held.settle(ids=[job.id])
    store.reset()


if __name__ == "__main__":
    shutdown.request_on_signals()
    reap.reap()  # as a worker does that replaces another
    main(sys.argv[1], float(sys.argv[2]))
