"""How each queue stands now: what waits, runs and is dead, and who works."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable

from queues.domain.states import ChunkState, RunState, WorkerState
from queues.models import Chunk, Queue, Run, Worker
from queues.selectors.expressions import PARKED_KIND, UNENDED, BoundedSums, ready_kind

# Chunk rows that one reading of all queues may touch, and the least that each queue gets of it.
CHUNK_ROWS = 5_000
CHUNK_ROWS_EACH = 250
# A worker that has not beaten for so long is not counted as alive.
HEARTBEAT_LIMIT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue takes no new work."""

    since: datetime
    by: str
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """One queue. Where `exact` is false, `waiting`, `scheduled` and `held` are only the least there can be.

    `waiting` is what is due, and with it what is `held`: by a batch that is still open or paused, or by a stage before
    it. `scheduled` is not due yet, and with it what waits for its next try: `retrying`.
    """

    id: int
    name: str
    handler: str
    pause: Pause | None
    waiting: int
    scheduled: int
    retrying: int
    held: int
    exact: bool
    dead: int
    dead_exact: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole count said a little while ago, for queues too long to count each second."""

    waiting: int
    scheduled: int
    held: int
    dead: int
    retrying: int = 0


@dataclass(frozen=True, slots=True)
class Workers:
    """Working processes by whether they have been heard of lately."""

    alive: int
    silent: int


def queue_figures(now: datetime) -> list[QueueFigures]:
    """All queues by name; reads at most `CHUNK_ROWS` chunks, or `CHUNK_ROWS_EACH` of each queue."""
    each = max(CHUNK_ROWS_EACH, CHUNK_ROWS // max(1, Queue.objects.count()))
    figures = []
    for row in _counted(now, each).order_by("name"):
        due, scheduled, retrying, seen = row.ready
        held, _, _, seen_held = row.held
        dead, _, _, parked = row.parked
        figures.append(
            QueueFigures(
                id=row.pk,
                name=row.name,
                handler=row.handler,
                pause=_pause(row, now),
                waiting=due + held,
                scheduled=scheduled + retrying,
                retrying=retrying,
                held=held,
                exact=max(seen, seen_held) <= each,
                dead=dead,
                dead_exact=parked <= each,
            )
        )
    return figures


def queue_pause(name: str, now: datetime) -> Pause | None:
    """Whether a queue is paused. Raises `LookupError` when there is none of that name."""
    row = Queue.objects.filter(name=name).first()
    if row is None:
        raise LookupError(name)
    return _pause(row, now)


def queue_id(name: str) -> int:
    """The key of a queue, 0 for an unknown name. As a value in a filter it lets an index keep its order,
    which a join would lose."""
    return Queue.objects.filter(name=name).values_list("pk", flat=True).first() or 0


def queue_names() -> list[str]:
    """All names, for filters."""
    return list(Queue.objects.order_by("name").values_list("name", flat=True))


def queue_estimates(now: datetime) -> dict[int, Estimate]:
    """Whole counts of all queues, however long. Dear on a long backlog: call it seldom and `bounded`."""
    estimates = {}
    for row in _counted(now, None):
        due, scheduled, retrying, _ = row.ready
        held = row.held[0]
        estimates[row.pk] = Estimate(due + held, scheduled + retrying, held, row.parked[0], retrying)
    return estimates


def running_jobs() -> dict[int, int]:
    """Claimed and not yet ended, by queue: from the few running runs, not from their many chunks."""
    held = F("claimed") - F("succeeded") - F("failed") - F("cancelled") - F("returned")
    rows: Iterable[tuple[int, int]] = (
        Run.objects.filter(state=RunState.RUNNING).values_list("queue_id").annotate(jobs=Sum(held))
    )
    return dict(rows)


def workers(now: datetime) -> Workers:
    """How many processes work, and how many have fallen silent without saying goodbye."""
    heard = now - HEARTBEAT_LIMIT
    counts = Worker.objects.filter(~Q(state=WorkerState.STOPPED), heartbeat_at__gte=now - timedelta(hours=1)).aggregate(
        alive=Count("pk", filter=Q(heartbeat_at__gte=heard)),
        silent=Count("pk", filter=Q(heartbeat_at__lt=heard)),
    )
    return Workers(**counts)


def _counted(now: datetime, limit: int | None) -> "QuerySet[Queue, Any]":
    """The queues, each with the sums of its chunks by state: of so many and one more, or of all."""
    return Queue.objects.annotate(
        ready=_ready(now, limit),
        held=_in_state(ChunkState.HELD, UNENDED, Value(0), limit),
        parked=_in_state(ChunkState.PARKED, F("size"), PARKED_KIND, limit),
    )


def _ready(now: datetime, limit: int | None) -> BoundedSums:
    ready = Chunk.objects.filter(queue=OuterRef("pk"), state=ChunkState.READY)
    rows = ready.annotate(jobs=UNENDED, kind=ready_kind(now))
    # In the order of the claim index, so that the slice is read from it.
    return _sums(rows.order_by("priority", "run_at", "id"), limit)


def _in_state(state: ChunkState, jobs: Combinable, kind: Combinable, limit: int | None) -> BoundedSums:
    rows = Chunk.objects.filter(queue=OuterRef("pk"), state=state).annotate(jobs=jobs, kind=kind)
    # In the order of the partial index of the state.
    return _sums(rows.order_by("id"), limit)


def _sums(rows: Any, limit: int | None) -> BoundedSums:
    found = rows.values("jobs", "kind")
    return BoundedSums(found.order_by() if limit is None else found[: limit + 1])


def _pause(row: Queue, now: datetime) -> Pause | None:
    if row.paused_at is None or (row.paused_until is not None and row.paused_until <= now):
        return None
    return Pause(since=row.paused_at, by=row.paused_by, reason=row.pause_reason, until=row.paused_until)
