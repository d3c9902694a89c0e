"""Workers, one by one: whether they live, and what they have done."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, F, Q, QuerySet, Sum

from queues.domain.rates import success_rate
from queues.domain.states import RunState, WorkerState
from queues.models import Run, Worker
from queues.selectors.expressions import seconds_between

# Seconds since the last heartbeat, one of which comes every 5 s.
HEALTHY_FOR = 15.0
DEAD_AFTER = 60.0
# As the overview counts them: a late heartbeat alone is no news.
SILENT_FOR = 30.0
MOST = 1_000
# What runs have done is summed over this time: by worker no index leads to all of them.
WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has done within the window. Rates are None where there is nothing to divide by."""

    runs: int
    processed: int
    succeeded: int
    failed: int
    retried: int
    dead: int
    cancelled: int
    late: int
    mean_run_ms: float | None
    jobs_per_second: float

    @property
    def success_rate(self) -> float | None:
        """Jobs that succeeded to jobs that ended."""
        return success_rate(self.succeeded, self.dead, self.cancelled)


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as it stands. `health` is healthy, silent, dead or stopped."""

    id: UUID
    name: str
    host: str
    pid: int
    version: str
    queues: list[str]
    state: str
    command: str
    commanded_by: str
    health: str
    heartbeat_age: float
    started_at: datetime
    stopped_at: datetime | None
    processed: int
    failed: int
    late: int
    figures: Figures


def health(worker: Worker, now: datetime, *, healthy_for: float = HEALTHY_FOR, dead_after: float = DEAD_AFTER) -> str:
    """By the age of the last heartbeat."""
    if worker.state == WorkerState.STOPPED:
        return "stopped"
    age = (now - worker.heartbeat_at).total_seconds()
    if age <= healthy_for:
        return "healthy"
    return "silent" if age <= dead_after else "dead"


def by_health(now: datetime, *, limit: float = HEALTHY_FOR) -> tuple[QuerySet[Worker], QuerySet[Worker]]:
    """Those that have been heard of within `limit` seconds, and those that should have been."""
    here, heard = Worker.objects.exclude(state=WorkerState.STOPPED), now - timedelta(seconds=limit)
    return here.filter(heartbeat_at__gte=heard), here.filter(heartbeat_at__lt=heard)


@dataclass(frozen=True, slots=True)
class Health:
    """Workers that should be there, by how lately they were heard of."""

    healthy: int
    silent: int
    dead: int

    @property
    def all(self) -> int:
        """All of them."""
        return self.healthy + self.silent + self.dead


def tally(now: datetime) -> Health:
    """How many workers that have not stopped are of each health. One query."""
    beat, dead = now - timedelta(seconds=HEALTHY_FOR), now - timedelta(seconds=DEAD_AFTER)
    healthy, silent = Q(heartbeat_at__gte=beat), Q(heartbeat_at__lt=beat, heartbeat_at__gte=dead)
    counts = Worker.objects.exclude(state=WorkerState.STOPPED).aggregate(
        healthy=Count("pk", filter=healthy),
        silent=Count("pk", filter=silent),
        dead=Count("pk", filter=Q(heartbeat_at__lt=dead)),
    )
    return Health(**counts)


def listed(now: datetime, *, stopped: bool = False, window: timedelta = WINDOW) -> list[Seen]:
    """The workers that should be there, last heard of first; with `stopped` also those that have left. Two queries."""
    rows = Worker.objects.order_by("-heartbeat_at", "pk")
    found = list((rows if stopped else rows.exclude(state=WorkerState.STOPPED))[:MOST])
    done = figures(found, now, window=window)
    return [_seen(worker, done[worker.pk], now) for worker in found]


def one(pk: UUID, now: datetime, *, window: timedelta = WINDOW) -> Seen | None:
    """One worker, whatever its state."""
    worker = Worker.objects.filter(pk=pk).first()
    return _seen(worker, figures([worker], now, window=window)[pk], now) if worker else None


@dataclass(frozen=True, slots=True)
class NotHeard:
    """A worker that should be there and has fallen silent."""

    id: UUID
    name: str
    heartbeat_at: datetime


def not_heard(now: datetime, limit: int, *, within: timedelta = WINDOW) -> list[NotHeard]:
    """Those that fell silent within the window, the last of them first."""
    silent = by_health(now, limit=SILENT_FOR)[1].filter(heartbeat_at__gte=now - within)
    rows = silent.order_by("-heartbeat_at", "pk").values_list("pk", "name", "heartbeat_at")
    return [NotHeard(*row) for row in rows[:limit]]


def serving(now: datetime) -> list[list[str]]:
    """The queues of each worker that lives and takes work; an empty list stands for all queues."""
    able = by_health(now)[0].exclude(state=WorkerState.SUSPENDED)
    return list(able.order_by("pk").values_list("queues", flat=True)[:MOST])


def figures(workers: Iterable[Worker], now: datetime, *, window: timedelta = WINDOW) -> dict[UUID, Figures]:
    """What these workers have done in runs that ended within the window, or still run."""
    rows = {worker.pk: worker for worker in workers}
    since = now - window
    recent = Q(state=RunState.RUNNING) | Q(finished_at__gte=since)
    sums = {f"sum_{name}": Sum(name) for name in _SUMMED}
    took = Avg(seconds_between(F("started_at"), F("finished_at")), filter=Q(finished_at__isnull=False))
    found = (
        Run.objects.filter(recent, worker_id__in=rows).values("worker_id").annotate(n=Count("pk"), took=took, **sums)
    )
    done = {row["worker_id"]: row for row in found}
    return {
        pk: _figures(done.get(pk, {}), max(since, row.started_at), row.stopped_at or now) for pk, row in rows.items()
    }


def named(text: str) -> UUID:
    """The worker with this name (of those that have not stopped first), or whose id begins so.

    Raises `LookupError` when there is none, or more than one.
    """
    by_name = Worker.objects.filter(name=text)
    here = by_name.exclude(state=WorkerState.STOPPED)
    found = list((here if here.exists() else by_name).values_list("pk", flat=True)[:2])
    digits = text.replace("-", "").lower()
    if not found and re.fullmatch(r"[0-9a-f]{4,32}", digits):
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        found = list(Worker.objects.filter(pk__range=(first, last)).values_list("pk", flat=True)[:2])
    if not found:
        raise LookupError(f"no worker {text!r}; `manage.py workers list` shows those there are")
    if len(found) > 1:
        raise LookupError(f"{text!r} is more than one worker: use more of its id")
    return found[0]


_SUMMED = ("succeeded", "failed", "retried", "dead", "cancelled", "late")


def _figures(row: Mapping[str, Any], since: datetime, until: datetime) -> Figures:
    counts = {name: int(row.get(f"sum_{name}") or 0) for name in _SUMMED}
    processed = counts["succeeded"] + counts["failed"] + counts["cancelled"]
    seconds = (until - since).total_seconds()
    took = row.get("took")
    return Figures(
        runs=int(row.get("n") or 0),
        processed=processed,
        **counts,
        mean_run_ms=took * 1000 if took is not None else None,
        jobs_per_second=processed / seconds if seconds > 0 else 0.0,
    )


def _seen(worker: Worker, done: Figures, now: datetime) -> Seen:
    return Seen(
        id=worker.pk,
        name=worker.name,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        queues=worker.queues,
        state=worker.state,
        command=worker.command,
        commanded_by=worker.commanded_by,
        health=health(worker, now),
        heartbeat_age=max(0.0, (now - worker.heartbeat_at).total_seconds()),
        started_at=worker.started_at,
        stopped_at=worker.stopped_at,
        processed=worker.processed,
        failed=worker.failed,
        late=worker.late,
        figures=done,
    )
