"""Dropping what is past its retention, in bounded rounds; every table has one.

The archive goes by whole partitions, once nothing in one is kept any more. Rows go one by one where their queue keeps
them less long than another, or where a partition takes much longer to get over than it is worth waiting for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from queues import store
from queues.domain.states import BatchState, RunState, WorkerState
from queues.models import (
    ArchivedJob,
    Attempt,
    AuditEntry,
    Batch,
    Chunk,
    Job,
    JobResult,
    Operation,
    OperationItem,
    Queue,
    Run,
    Worker,
)
from queues.selectors.clock import database_now
from queues.services import partitions

# Keys of one look, and rows of one transaction.
LOOK = 50_000
ROUND = 5_000
TIMEOUT_MS = 20_000
# How long one ring of beat may keep the control worker, which has other errands.
RING_SECONDS = 2.0
# How much longer than its retention a row may wait for the partition that it is in to be dropped.
PARTITION_PATIENCE = timedelta(days=7)

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of one table that are past their retention, and the order in which an index finds them."""

    name: str
    rows: "QuerySet[Any]"
    order: str


@dataclass(frozen=True, slots=True)
class _Pace:
    """Who is told, and when to stop."""

    tell: Progress
    until: float | None

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.until is not None and monotonic() > self.until


def purge(
    *, dry_run: bool = False, seconds: float | None = RING_SECONDS, progress: Progress | None = None
) -> dict[str, int]:
    """Remove what is past its retention; returns how much of what. With `dry_run`, counts it only.

    Safe to run twice at once, and to end at any point: each kind stops after about `seconds` in all, None goes on
    until nothing is left. `progress` is told what is purged and how many so far.
    """
    now = database_now()
    if dry_run:
        return _counted(now)
    pace = _Pace(progress or (lambda _name, _count: None), None if seconds is None else monotonic() + seconds)
    done = {"archive partitions": len(partitions.drop(before=_longest_kept(now)))}
    done["archived jobs"] = sum(_purge_archived(*each, pace) for each in _archived(now))
    done["batches"] = _purge_batches(now, pace)
    for kind in _kinds(now):
        done[kind.name] = _purge_kind(kind, pace)
    return done


def _counted(now: datetime) -> dict[str, int]:
    counted = {"archive partitions": len(partitions.over(before=_longest_kept(now)))}
    counted["archived jobs"] = sum(_past(*each).count() for each in _archived(now))
    counted["batches"] = sum(rows.count() for rows in _batches(now))
    return counted | {kind.name: kind.rows.count() for kind in _kinds(now)}


def _kinds(now: datetime) -> list[_Kind]:
    ended = Operation.objects.filter(finished_at__lt=_before(now, settings.OPERATION_RETENTION))
    # A dead letter's tries stay as long as it does: they are what a person looks at.
    tries = Attempt.objects.filter(finished_at__lt=_before(now, settings.ATTEMPT_RETENTION)).exclude(
        Exists(Job.objects.filter(pk=OuterRef("job_id")))
    )
    runs = Run.objects.filter(finished_at__lt=_before(now, settings.RUN_RETENTION))
    stopped = Worker.objects.filter(state=WorkerState.STOPPED, heartbeat_at__lt=_before(now, settings.WORKER_RETENTION))
    audit = AuditEntry.objects.filter(at__lt=_before(now, settings.AUDIT_RETENTION))
    items = OperationItem.objects.filter(operation__in=ended.values("pk"))
    return [
        _Kind("attempts", tries, "finished_at"),
        _Kind("runs", runs.exclude(state=RunState.RUNNING), "finished_at"),
        _Kind("workers", stopped, "heartbeat_at"),
        _Kind("results", JobResult.objects.filter(expires_at__lt=now), "expires_at"),
        _Kind("audit entries", audit, "at"),
        _Kind("operation items", items, "pk"),
        _Kind("operations", ended.exclude(Exists(OperationItem.objects.filter(operation=OuterRef("pk")))), "pk"),
    ]


def _purge_kind(kind: _Kind, pace: _Pace) -> int:
    def remove(keys: list[Any]) -> int:
        kind.rows.model._default_manager.filter(pk__in=keys).delete()
        return len(keys)

    return _in_rounds(kind.name, lambda: kind.rows.order_by(kind.order), remove, pace)


def _in_rounds(name: str, rows: Callable[[], "QuerySet[Any]"], remove: Callable[[list[Any]], int], pace: _Pace) -> int:
    """Look for many keys at once and remove them in small transactions; how many were removed.

    One look for each round would pass again and again over what the rounds before it have left dead.
    """
    done = 0
    while True:
        before, found = done, list(rows().values_list("pk", flat=True)[:LOOK])
        for start in range(0, len(found), ROUND):
            with transaction.atomic():
                store.statement_timeout(TIMEOUT_MS)
                done += remove(found[start : start + ROUND])
            pace.tell(name, done)
            if pace.over:
                return done
        if len(found) < LOOK or done == before:
            return done


def _archived(now: datetime) -> list[tuple[int, datetime]]:
    """For each queue, when the archived jobs ended that go one by one."""
    longest = _longest_kept(now)
    found = []
    for queue, kept in Queue.objects.values_list("pk", "purge_after"):
        before = _before(now, kept)
        waits = before <= longest
        found.append((queue, _before(now, kept + PARTITION_PATIENCE.total_seconds()) if waits else before))
    return found


def _past(queue: int, before: datetime) -> "QuerySet[ArchivedJob]":
    return ArchivedJob.objects.filter(queue=queue, finished_at__lt=before)


def _purge_archived(queue: int, before: datetime, pace: _Pace) -> int:
    def remove(jobs: list[Any]) -> int:
        return int(store.one("purge_archived", jobs=jobs, queue=queue, before=before))

    return _in_rounds("archived jobs", lambda: _past(queue, before).order_by("finished_at", "pk"), remove, pace)


def _batches(now: datetime) -> Iterator["QuerySet[Batch]"]:
    """For each queue, the batches past retention of which nothing is left but their rows; parts, then parents."""
    left = Chunk.objects.filter(batch=OuterRef("pk"), archived_at=None)
    kept = ArchivedJob.objects.filter(batch_id=OuterRef("pk"))
    parts = Batch.objects.filter(parent=OuterRef("pk"))
    for queue, keep in Queue.objects.values_list("pk", "purge_after"):
        before = _before(now, keep)
        over = Batch.objects.filter(queue=queue, finished_at__lt=before).exclude(state=BatchState.RUNNING)
        whole = over.exclude(Exists(left)).exclude(Exists(kept)).exclude(Exists(parts))
        # As long as a parent is kept, its parts are: its total is theirs.
        yield whole.filter(parent=None)
        yield whole.filter(parent__finished_at__lt=before).exclude(parent__state=BatchState.RUNNING)


def _purge_batches(now: datetime, pace: _Pace) -> int:
    """Twice: a parent can go as soon as its parts have."""
    done = 0
    for _turn in (1, 2):
        for rows in _batches(now):
            for batch in list(rows.order_by("finished_at").values_list("pk", flat=True)[:ROUND]):
                done += _purge_batch(rows, batch)
                pace.tell("batches", done)
                if pace.over:
                    return done
    return done


def _purge_batch(rows: "QuerySet[Batch]", batch: int) -> int:
    """Chunk rows and batch in one transaction, asked again under the batch's lock: it may have been reopened."""
    with transaction.atomic():
        store.statement_timeout(TIMEOUT_MS)
        held = Batch.objects.select_for_update(skip_locked=True).filter(pk=batch).first()
        if held is None or not rows.filter(pk=batch).exists():
            return 0
        Chunk.objects.filter(batch=batch).delete()
        held.delete()
        return 1


def _longest_kept(now: datetime) -> datetime:
    """What ended before this time no queue keeps."""
    kept = Queue.objects.order_by("-purge_after").values_list("purge_after", flat=True).first()
    return _before(now, settings.PURGE_AFTER if kept is None else kept)


def _before(now: datetime, seconds: float) -> datetime:
    """So long ago; where that is before all time, the beginning of time."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime(1, 1, 1, tzinfo=UTC)
