"""Celery's way in: each task parses, calls, answers."""

from typing import Any

from celery import shared_task
from celery.signals import worker_process_shutdown

from queues import (
    bells,  # noqa: F401 - rings by itself when beat or the broker is gone
    serve,
)
from queues.services import announce
from queues.services import archive as archive_service
from queues.services import finish as finish_service
from queues.services import operate as operate_service
from queues.services import reap as reap_service


@shared_task(name="queues.tasks.serve_queue", ignore_result=True, expires=30)
def serve_queue(queue_id: int) -> int:
    """Work on a queue for a slice of time."""
    return serve.serve_queue(queue_id)


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


@shared_task(name="queues.tasks.archive", ignore_result=True)
def archive() -> int:
    """Move finished jobs out of the hot tables."""
    return archive_service.archive()


@shared_task(name="queues.tasks.purge", ignore_result=True)
def purge() -> int:
    """Drop what is past its retention."""
    return sum(archive_service.purge().values())


@worker_process_shutdown.connect
def leave(**_signal: Any) -> None:
    """A prefork child ends without running `atexit`; its row is to say so."""
    serve.leave()
