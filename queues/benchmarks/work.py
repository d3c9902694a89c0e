"""Jobs of the benchmark: filling a queue, letting it run, and checking that every job ran as often as it should."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Sum
from django.db.models.functions import Now

from queues.benchmarks import handlers
from queues.benchmarks.figures import kept
from queues.models import Batch, Chunk, Queue, Run
from queues.selectors.clock import database_now
from queues.services import announce
from queues.services.enqueue import enqueue_batch

PATIENCE = 300.0
LOOK_EVERY = 0.05
DRIVE_EVERY = 1.0


class BenchmarkError(RuntimeError):
    """What was measured did not do what it should; there is no figure."""


def payload(number: int) -> dict[str, Any]:
    """A payload of about 150 bytes."""
    return {
        "n": number,
        "email": f"person.{number}@example.org",
        "subject": "Your monthly statement is ready",
        "template": "statement-monthly",
        "language": "en",
        "parts": [number % 7, number % 11, True],
    }


@dataclass(frozen=True, slots=True)
class Drained:
    """How long a drain took from its start to its last settle, and how evenly it went."""

    jobs: int
    seconds: float
    kept: float
    correct: bool

    @property
    def rate(self) -> float:
        """Jobs in a second."""
        return self.jobs / self.seconds


def queue() -> Queue:
    """The queue that is filled and drained."""
    return Queue.objects.get(name=handlers.QUEUE)


def fill(jobs: int, handler: Any, *, chunk_size: int | None = None) -> Batch:
    """Enqueue while the queue is paused, so that nothing starts before it shall."""
    Queue.objects.filter(name=handlers.QUEUE).update(paused_at=Now())
    payloads: Iterator[Any] = map(payload, range(jobs))
    return enqueue_batch(handler, payloads, queue=handlers.QUEUE, chunk_size=chunk_size, split=True)


def release() -> float:
    """End the pause; the moment by the database's clock."""
    Queue.objects.filter(name=handlers.QUEUE).update(paused_at=None, hinted_at=None)
    return database_now().timestamp()


def drain_through_workers(batch: Batch, *, failing: bool = False) -> Drained:
    """Let the Celery workers do a batch; as beat would, repeat each second the hint that may be lost."""
    queue_id = batch.queue_id
    started = release()
    announce.send_hint(queue_id=queue_id)
    until, ring = time.monotonic() + PATIENCE, time.monotonic() + DRIVE_EVERY
    while Batch.objects.filter(pk=batch.pk, finished_at=None).exists():
        time.sleep(LOOK_EVERY)
        if time.monotonic() > ring:
            ring += DRIVE_EVERY
            announce.drive()
        if time.monotonic() > until:
            raise BenchmarkError(f"batch {batch.pk} has not finished within {PATIENCE:g} s")
    batch.refresh_from_db()
    tries = _extra(batch) if failing else 0
    correct = batch.succeeded == batch.total and called_as_expected(batch, tries)
    return measured(batch.total, started, correct=correct, runs_of=batch.total + tries)


def measured(jobs: int, started: float, *, correct: bool, runs_of: int) -> Drained:
    """What the run rows tell of the drain that has just ended. `runs_of`: jobs with their repetitions."""
    runs = Run.objects.order_by("finished_at").values_list("finished_at", "claimed")
    ends = [(moment.timestamp() - started, claimed) for moment, claimed in runs if moment is not None]
    left = Chunk.objects.exclude(state="done").exists()
    done = Run.objects.aggregate(jobs=Sum(F("succeeded") + F("failed")))["jobs"]
    return Drained(jobs, ends[-1][0], kept(ends), correct and not left and done == runs_of)


def _extra(batch: Batch) -> int:
    return len(range(0, batch.total, round(1 / handlers.FAILING_SHARE)))


def called_as_expected(batch: Batch, extra: int) -> bool:
    """Each job once, and `extra` of them twice. The ids of a batch may have gaps, which nobody has called."""
    first, last = batch.first_job_id, batch.last_job_id
    assert first is not None
    assert last is not None
    called = handlers.calls()[first : last + 1]
    return called.count(1) == batch.total - extra and called.count(2) == extra
