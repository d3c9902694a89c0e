"""Dropping what is past its retention, in bounded rounds; every table has one.

The archive goes by whole partitions, once nothing in one is kept any more. Rows go one by one where their queue keeps
them less long than another, or where a partition takes much longer to get over than it is worth waiting for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

ROUND = 5_000
TIMEOUT_MS = 20_000
# How much longer than its retention a row may wait for the partition that it is in to be dropped.
PARTITION_PATIENCE = timedelta(days=7)

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of one table that are past their retention, and the order in which an index finds them."""

    name: str
    rows: "QuerySet[Any]"
    order: str


def purge(*, dry_run: bool = False, progress: Progress | None = None) -> dict[str, int]:
    """Remove what is past its retention; returns how much of what. With `dry_run`, counts it only.

    Safe to run twice at once, and to end at any point. `progress` is told what is purged and how many so far.
    """
    now = database_now()
    report = progress or (lambda _name, _count: None)
    if dry_run:
        return _counted(now)
    done = {"archive partitions": len(partitions.drop(before=_longest_kept(now)))}
    done["archived jobs"] = sum(_purge_archived(rows, report) for rows in _archived(now))
    done["batches"] = _purge_batches(now, report)
    for kind in _kinds(now):
        done[kind.name] = _purge_kind(kind, report)
    return done


def _counted(now: datetime) -> dict[str, int]:
    counted = {"archive partitions": len(partitions.over(before=_longest_kept(now)))}
    counted["archived jobs"] = sum(rows.count() for rows in _archived(now))
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


def _purge_kind(kind: _Kind, report: Progress) -> int:
    done = 0
    while True:
        with transaction.atomic():
            store.statement_timeout(TIMEOUT_MS)
            found = list(kind.rows.order_by(kind.order).values_list("pk", flat=True)[:ROUND])
            kind.rows.model._default_manager.filter(pk__in=found).delete()
        done += len(found)
        report(kind.name, done)
        if len(found) < ROUND:
            return done


def _archived(now: datetime) -> Iterator["QuerySet[ArchivedJob]"]:
    """For each queue, the archived jobs that go one by one."""
    longest = _longest_kept(now)
    for queue, kept in Queue.objects.values_list("pk", "purge_after"):
        before = _before(now, kept)
        if before <= longest:
            before = _before(now, kept + PARTITION_PATIENCE.total_seconds())
        yield ArchivedJob.objects.filter(queue=queue, finished_at__lt=before)


def _purge_archived(rows: "QuerySet[ArchivedJob]", report: Progress) -> int:
    done = 0
    while True:
        with transaction.atomic():
            store.statement_timeout(TIMEOUT_MS)
            page = rows.select_for_update(skip_locked=True).order_by("finished_at", "pk")
            found = list(page.values_list("pk", flat=True)[:ROUND])
            Attempt.objects.filter(job_id__in=found).delete()
            JobResult.objects.filter(pk__in=found).delete()
            ArchivedJob.objects.filter(pk__in=found).delete()
        done += len(found)
        report("archived jobs", done)
        if len(found) < ROUND:
            return done


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


def _purge_batches(now: datetime, report: Progress) -> int:
    """Twice: a parent can go as soon as its parts have."""
    done = 0
    for _turn in (1, 2):
        for rows in _batches(now):
            for batch in list(rows.order_by("finished_at").values_list("pk", flat=True)[:ROUND]):
                done += _purge_batch(rows, batch)
                report("batches", done)
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
