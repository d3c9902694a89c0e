"""Rows for the console to look at: batches by the real services, runs as a worker would have left them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from queues.models import Batch, Queue, Run, Worker
from queues.services.enqueue import enqueue_batch
from tests.queues.working import drain, make_queue


def ran_batch(*, succeed: int = 0, die: int = 0, name: str = "worked", queue: str = "tested") -> Batch:
    """A batch that has been worked through, with its dead letters."""
    if not Queue.objects.filter(name=queue).exists():
        make_queue(queue)
    items: list[Any] = [{"n": number} for number in range(succeed)]
    items += [{"die": number} for number in range(die)]
    batch = enqueue_batch("tested.do", items, name=name, queue=queue)
    drain(queue)
    batch.refresh_from_db()
    return batch


def waiting_batch(size: int = 3, **options: Any) -> Batch:
    """A batch that nobody works on."""
    if not Queue.objects.filter(name="tested").exists():
        make_queue()
    return enqueue_batch("tested.do", [{"n": number} for number in range(size)], **options)


def run(queue: Queue, *, started: timedelta, ended: timedelta | None, **counts: Any) -> Run:
    """A run that started so long ago and ended so long ago, or still runs."""
    now: datetime = timezone.now()
    finished = None if ended is None else now - ended
    return Run.objects.create(
        queue=queue,
        worker_id=uuid.uuid4(),
        started_at=now - started,
        finished_at=finished,
        state="running" if ended is None else "done",
        lease_until=now + timedelta(seconds=30),
        chunks=1,
        claimed=counts.pop("claimed", sum(counts.get(name, 0) for name in ("succeeded", "failed"))),
        **counts,
    )


def a_worker(*, beat: timedelta = timedelta(0), **values: Any) -> Worker:
    """A worker that was last heard of so long ago."""
    facts = {"name": "w-1", "host": "alpha", "machine": "m", "pid": 4711, "process_started": 0, "version": "1.2.3"}
    values = {"id": uuid.uuid4(), "state": "ready", "heartbeat_at": timezone.now() - beat, **values}
    return Worker.objects.create(**{**facts, **values})


def assert_harmless(shown: str, url: str) -> None:
    """Nothing of a hostile text has become markup, and no control character steers who reads it."""
    assert "<script>alert" not in shown, url
    assert "\x1b" not in shown, url
    assert "\u202e" not in shown, url
    assert " style=" not in shown, url
    assert " hx-on" not in shown, url
