"""Celery's way in: each task parses, calls, answers."""

import logging
import os
import signal
from typing import Any

from celery import Task, current_app, shared_task
from celery.signals import worker_process_init, worker_process_shutdown

from queues import (
    bells,  # noqa: F401 - rings by itself when beat or the broker is gone
    serve,
    store,
)
from queues.services import announce, upkeep
from queues.services import finish as finish_service
from queues.services import operate as operate_service
from queues.services import reap as reap_service
from queues.services import recur as recur_service

log = logging.getLogger(__name__)

# The broker's queue of the hints.
WORK = "work"


@shared_task(name="queues.tasks.serve_queue", ignore_result=True, expires=30)
def serve_queue(queue_id: int) -> int:
    """Work on a queue for a slice of time."""
    return serve.serve_queue(queue_id, end=_end_process)


def _end_process() -> None:
    """As a signal from outside would: a child of a pool ends and is replaced, a solo worker shuts down."""
    os.kill(os.getpid(), signal.SIGTERM)


@shared_task(name="queues.tasks.drive", ignore_result=True)
def drive() -> int:
    """Hint at queues with due work."""
    return announce.drive()


@shared_task(name="queues.tasks.reap", ignore_result=True)
def reap() -> int:
    """Take back what lost workers hold."""
    return reap_service.reap()


@shared_task(name="queues.tasks.finish", ignore_result=True)
def finish() -> int:
    """End batches whose end was missed."""
    return len(finish_service.sweep())


@shared_task(name="queues.tasks.operate", ignore_result=True)
def operate() -> int:
    """Go on with the operations that are running."""
    return operate_service.advance_all()


@shared_task(name="queues.tasks.recur", ignore_result=True)
def recur() -> bool:
    """Make the recurring batches that are due."""
    return recur_service.recur()


@shared_task(name="queues.tasks.archive", ignore_result=True, bind=True)
def archive(task: Task) -> bool:
    """Move finished jobs out of the hot tables, slice after slice."""
    return upkeep.archive() and _again(task)


@shared_task(name="queues.tasks.purge", ignore_result=True, bind=True)
def purge(task: Task) -> bool:
    """Drop what is past its retention, slice after slice."""
    return upkeep.purge() and _again(task)


def _again(task: Task) -> bool:
    """Send the same ring to the end of the queue, behind all that waits there; whether the broker has taken it.

    It expires when the first one does, which is when beat sends the next: there is never more than one such chain.
    """
    expires = {"expires": task.request.expires} if task.request.expires else {}
    try:
        task.apply_async(retry=False, **expires)
    except Exception as error:  # any broker's own error types; beat rings again
        log.warning("%s could not be rung again: %s", task.name, error)
        return False
    return True


@worker_process_init.connect
def join(**_signal: Any) -> None:
    """Who watches sees a worker that has had no work yet, too. One without a database joins with its first work."""
    if WORK not in current_app.amqp.queues.consume_from:
        return
    try:
        serve.join(end=_end_process)
    except store.CONNECTION_ERRORS as error:
        log.warning("the worker will be known with its first work: %s", error)
        store.reset()


@worker_process_shutdown.connect
def leave(**_signal: Any) -> None:
    """A prefork child ends without running `atexit`; its row is to say so."""
    serve.leave()
