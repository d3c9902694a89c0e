"""Django signals of what happens to batches, runs, jobs, queues and workers. See docs/events.md for what each carries.

Sent in the process that did it, after its commit, and at most once: a process that dies between commit and signal has
not sent it. What must not be missed is a callback, a dead letter handler or a webhook, which are jobs. A receiver that
raises is logged and disturbs nobody. Nothing is looked up for a signal that nobody listens to.

Receivers get `sender=None` and the facts by name. They run where the work is done: be quick, or enqueue a job.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.dispatch import Signal

from queues import session, store

log = logging.getLogger(__name__)

batch_enqueued = Signal()
batch_started = Signal()
batch_finished = Signal()
jobs_retried = Signal()
job_dead = Signal()
run_started = Signal()
run_accumulated = Signal()
run_finished = Signal()
run_lost = Signal()
worker_started = Signal()
worker_stopped = Signal()
queue_paused = Signal()
queue_resumed = Signal()

Told = tuple[Signal, dict[str, Any]]
_here = threading.local()


def tell(signal: Signal, **facts: Any) -> None:
    """Send a signal once the open transaction has been committed, or now when there is none."""
    if signal.has_listeners():
        store.on_commit(partial(_send, signal, facts))


@contextmanager
def kept(box: list[Told]) -> Iterator[None]:
    """Put what this thread would send into a box, for `send_kept`: the keeper must not wait for receivers."""
    before = getattr(_here, "box", None)
    _here.box = box
    try:
        yield
    finally:
        _here.box = before


def send_kept(box: list[Told]) -> None:
    """Send what was put into a box, in order."""
    told, box[:] = list(box), []
    for signal, facts in told:
        _send(signal, facts)


def _send(signal: Signal, facts: dict[str, Any]) -> None:
    box = getattr(_here, "box", None)
    if box is not None:
        box.append((signal, facts))
        return
    connection = session.worker_connection()
    outer = connection.in_atomic_block
    signal.send_robust(sender=None, **facts)  # Django logs what a receiver raises
    if not outer and session.left_open(connection):
        log.error("a receiver of a signal left a transaction open; it was rolled back")
        session.mend(connection, outer=False)
