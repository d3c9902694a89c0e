"""How each queue stands now: what waits, runs and is dead, and who works."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import BooleanField, Case, Count, F, OuterRef, Q, Sum, Value, When
from django.db.models.expressions import Combinable

from queues.domain.states import ChunkState, HeldWhy, RunState, WorkerState
from queues.models import Chunk, DeadLetter, Queue, Run, Worker
from queues.selectors.expressions import UNENDED, BoundedSums

# Chunk rows that one reading of all queues may touch, and the least that each queue gets of it.
CHUNK_ROWS = 10_000
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
    it. `scheduled` is not due yet.
    """

    id: int
    name: str
    handler: str
    pause: Pause | None
    waiting: int
    scheduled: int
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


@dataclass(frozen=True, slots=True)
class Workers:
    """Working processes by whether they have been heard of lately."""

    alive: int
    silent: int


def queue_figures(now: datetime) -> list[QueueFigures]:
    """All queues by name; reads at most `CHUNK_ROWS` chunks, or `CHUNK_ROWS_EACH` of each queue."""
    each = max(CHUNK_ROWS_EACH, CHUNK_ROWS // max(1, Queue.objects.count()))
    rows = Queue.objects.order_by("name").annotate(
        ready=_ready(now, each),
        held=_in_state(ChunkState.HELD, UNENDED, each),
        parked=_in_state(ChunkState.PARKED, F("size"), each),
    )
    figures = []
    for row in rows:
        due, scheduled, seen = row.ready
        _, held, seen_held = row.held
        dead, _, parked = row.parked
        figures.append(
            QueueFigures(
                id=row.pk,
                name=row.name,
                handler=row.handler,
                pause=_pause(row, now),
                waiting=due + held,
                scheduled=scheduled,
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
    ready, held = Q(state=ChunkState.READY), Q(state=ChunkState.HELD)
    chunks = (
        Chunk.objects.filter(ready | held)
        .values_list("queue_id")
        .annotate(
            due=Sum(UNENDED, filter=ready & Q(run_at__lte=now)),
            scheduled=Sum(UNENDED, filter=ready & Q(run_at__gt=now)),
            held=Sum(UNENDED, filter=held),
        )
    )
    dead = dict(DeadLetter.objects.values_list("queue_id").annotate(Count("pk")))
    backlog = {queue: tuple(jobs or 0 for jobs in found) for queue, *found in chunks}
    estimates = {}
    for queue in backlog.keys() | dead.keys():
        due, scheduled, waits = backlog.get(queue, (0, 0, 0))
        estimates[queue] = Estimate(due + waits, scheduled, waits, dead.get(queue, 0))
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


def _ready(now: datetime, limit: int) -> BoundedSums:
    due = Case(When(run_at__lte=now, then=Value(True)), default=Value(False), output_field=BooleanField())
    rows = Chunk.objects.filter(queue=OuterRef("pk"), state=ChunkState.READY)
    # In the order of the claim index, so that the slice is read from it.
    ordered = rows.order_by("priority", "run_at", "id").annotate(jobs=UNENDED, due=due)
    return BoundedSums(ordered.values("jobs", "due")[: limit + 1])


def _in_state(state: ChunkState, jobs: Combinable, limit: int) -> BoundedSums:
    """Parked ones by whether they are dead; held ones are all `not due`."""
    dead = Case(When(held_why=HeldWhy.DEAD, then=Value(True)), default=Value(False), output_field=BooleanField())
    rows = Chunk.objects.filter(queue=OuterRef("pk"), state=state)
    # In the order of the partial index of the state.
    ordered = rows.order_by("id").annotate(jobs=jobs, due=dead)
    return BoundedSums(ordered.values("jobs", "due")[: limit + 1])


def _pause(row: Queue, now: datetime) -> Pause | None:
    if row.paused_at is None or (row.paused_until is not None and row.paused_until <= now):
        return None
    return Pause(since=row.paused_at, by=row.paused_by, reason=row.pause_reason, until=row.paused_until)
