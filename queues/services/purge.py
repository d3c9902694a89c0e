"""Dropping what is past its retention, in bounded rounds; every table has one.

What a batch in the trash has in the archive, its chunks and itself stay until it is restored or removed.

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
from django.db.models import Count, Exists, OuterRef, QuerySet

from queues import store
from queues.domain.states import BatchState, Outcome, RunState, WorkerState
from queues.models import (
    ArchivedJob,
    Attempt,
    AuditEntry,
    Batch,
    Chunk,
    DeadLetter,
    Job,
    JobResult,
    Operation,
    OperationItem,
    Queue,
    Run,
    SeenCause,
    Worker,
)
from queues.selectors.clock import database_now
from queues.services import delete, partitions

# Keys of one look, and rows of one transaction.
LOOK = 50_000
ROUND = 5_000
TIMEOUT_MS = 20_000
# Archived jobs of one retention that are counted by outcome for a person.
COUNTED = 1_000_000
_RETENTIONS = ("purge_after", "purge_cancelled_after", "purge_dead_after")
# How much longer than its retention a row may wait for the partition that it is in to be dropped.
PARTITION_PATIENCE = timedelta(days=7)

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of one table that are past their retention, and the order in which an index finds them."""

    name: str
    rows: "QuerySet[Any]"
    order: str


@dataclass(slots=True)
class _Pace:
    """Who is told, and when to stop: not before one round has removed something, however short the time."""

    progress: Progress | None
    until: float | None
    moved: bool = False

    def tell(self, name: str, count: int) -> None:
        """How many have been removed so far."""
        self.moved = self.moved or count > 0
        if self.progress is not None:
            self.progress(name, count)

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.until is not None and self.moved and monotonic() > self.until


def purge(*, dry_run: bool = False, seconds: float | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Remove what is past its retention; returns how much of what. With `dry_run`, counts it only.

    Safe to run twice at once, and to end at any point: it stops after about `seconds`, None goes on until nothing is
    left. `progress` is told what is purged and how many so far.
    """
    now = database_now()
    if dry_run:
        return _counted(now)
    pace = _Pace(progress, None if seconds is None else monotonic() + seconds)
    done = {"archive partitions": len(partitions.drop(before=_longest_kept(now)))}
    done["archived jobs"] = sum(_purge_archived(past, pace) for past in _archived(now))
    done["batches"] = _purge_batches(now, pace)
    for kind in _kinds(now):
        done[kind.name] = _purge_kind(kind, pace)
    return done


def _counted(now: datetime) -> dict[str, int]:
    counted = {"archive partitions": len(partitions.over(before=_longest_kept(now)))}
    counted["archived jobs"] = sum(past.rows().count() for past in _archived(now))
    counted["batches"] = sum(rows.count() for rows in _batches(now))
    return counted | {kind.name: kind.rows.count() for kind in _kinds(now)}


def _kinds(now: datetime) -> list[_Kind]:
    ended = Operation.objects.filter(finished_at__lt=_before(now, settings.OPERATION_RETENTION))
    # A dead letter's tries stay as long as it does: they are what a person looks at.
    tries = Attempt.objects.filter(finished_at__lt=_before(now, settings.ATTEMPT_RETENTION)).exclude(
        Exists(Job.objects.filter(pk=OuterRef("job_id")))
    )
    # A cause that is there is known however long ago it came.
    causes = SeenCause.objects.filter(first_at__lt=_before(now, settings.ATTEMPT_RETENTION)).exclude(
        Exists(DeadLetter.objects.filter(fingerprint=OuterRef("fingerprint")))
    )
    runs = Run.objects.filter(finished_at__lt=_before(now, settings.RUN_RETENTION))
    stopped = Worker.objects.filter(state=WorkerState.STOPPED, heartbeat_at__lt=_before(now, settings.WORKER_RETENTION))
    audit = AuditEntry.objects.filter(at__lt=_before(now, settings.AUDIT_RETENTION))
    items = OperationItem.objects.filter(operation__in=ended.values("pk"))
    return [
        _Kind("attempts", tries, "finished_at"),
        _Kind("causes", causes, "first_at"),
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
    while not pace.over:
        before, found = done, list(rows().values_list("pk", flat=True)[:LOOK])
        for start in range(0, len(found), ROUND):
            with transaction.atomic():
                store.statement_timeout(TIMEOUT_MS)
                done += remove(found[start : start + ROUND])
            pace.tell(name, done)
            if pace.over:
                return done
        if len(found) < LOOK or done == before:
            break
    return done


@dataclass(frozen=True, slots=True)
class _Past:
    """Archived jobs of one queue that go one by one: those that ended so before a time. No outcomes: any."""

    queue: int
    name: str
    before: datetime
    outcomes: tuple[str, ...] | None

    def rows(self) -> "QuerySet[ArchivedJob]":
        """The jobs."""
        found = ArchivedJob.objects.filter(queue=self.queue, finished_at__lt=self.before)
        found = found.exclude(batch_id__in=delete.trashed())
        return found if self.outcomes is None else found.filter(outcome__in=self.outcomes)


def purge_due_by_outcome(seconds: float | None = None) -> tuple[list[dict[str, Any]], bool]:
    """The archived jobs that the next purge would remove one by one, by queue and outcome; at most `COUNTED` of each
    retention are counted (`exact` says whether these were all). Whole partitions are not among them.

    Two short statements for each retention of each queue: with `seconds` it ends after that time, and says whether
    all queues were asked.
    """
    found: list[dict[str, Any]] = []
    until = None if seconds is None else monotonic() + seconds
    for past in _archived(database_now()):
        if until is not None and monotonic() > until:
            return found, False
        keys = past.rows().order_by("finished_at", "pk").values("pk")[:COUNTED]
        groups = list(
            ArchivedJob.objects.filter(pk__in=keys).values_list("outcome").annotate(Count("pk")).order_by("outcome")
        )
        exact = sum(jobs for _outcome, jobs in groups) < COUNTED
        found += [{"queue": past.name, "outcome": outcome, "jobs": jobs, "exact": exact} for outcome, jobs in groups]
    return found, True


def partitions_due() -> list[int]:
    """The partitions of the archive that the next purge would drop whole: nothing in them is kept any more."""
    return partitions.over(before=_longest_kept(database_now()))


def _archived(now: datetime) -> list[_Past]:
    """What goes one by one: each queue's jobs by how long it keeps those of an outcome."""
    longest = _longest_kept(now)
    found = []
    for queue, name, usual, cancelled, dead in Queue.objects.values_list("pk", "name", *_RETENTIONS):
        kept = {usual: [Outcome.SUCCEEDED.value, Outcome.DELETED.value]}
        kept.setdefault(usual if cancelled is None else cancelled, []).append(Outcome.CANCELLED.value)
        kept.setdefault(usual if dead is None else dead, []).append(Outcome.DEAD.value)
        for seconds, outcomes in kept.items():
            before = _before(now, seconds)
            if before <= longest:
                before = _before(now, seconds + PARTITION_PATIENCE.total_seconds())
            found.append(_Past(queue, name, before, tuple(outcomes) if len(kept) > 1 else None))
    return found


def _purge_archived(past: _Past, pace: _Pace) -> int:
    outcomes = None if past.outcomes is None else list(past.outcomes)

    def remove(jobs: list[Any]) -> int:
        kept = list(delete.trashed())
        asked = {"queue": past.queue, "before": past.before, "outcomes": outcomes}
        return int(store.one("purge_archived", jobs=jobs, **asked, kept=kept))

    return _in_rounds("archived jobs", lambda: past.rows().order_by("finished_at", "pk"), remove, pace)


def _batches(now: datetime) -> Iterator["QuerySet[Batch]"]:
    """For each queue, the batches past retention of which nothing is left but their rows; parts, then parents."""
    left = Chunk.objects.filter(batch=OuterRef("pk"), archived_at=None)
    kept = ArchivedJob.objects.filter(batch_id=OuterRef("pk"))
    parts = Batch.objects.filter(parent=OuterRef("pk"))
    for queue, keep in Queue.objects.values_list("pk", "purge_after"):
        before = _before(now, keep)
        over = Batch.objects.filter(queue=queue, finished_at__lt=before).exclude(state=BatchState.RUNNING)
        whole = over.exclude(pk__in=delete.trashed()).exclude(Exists(left)).exclude(Exists(kept)).exclude(Exists(parts))
        # As long as a parent is kept, its parts are: its total is theirs.
        yield whole.filter(parent=None)
        yield whole.filter(parent__finished_at__lt=before).exclude(parent__state=BatchState.RUNNING)


def _purge_batches(now: datetime, pace: _Pace) -> int:
    """Twice: a parent can go as soon as its parts have."""
    done = 0
    for _turn in (1, 2):
        for rows in _batches(now):
            if pace.over:
                return done
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
    kept = [seconds for row in Queue.objects.values_list(*_RETENTIONS) for seconds in row if seconds is not None]
    return _before(now, max(kept, default=settings.PURGE_AFTER))


def _before(now: datetime, seconds: float) -> datetime:
    """So long ago; where that is before all time, the beginning of time."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime(1, 1, 1, tzinfo=UTC)
