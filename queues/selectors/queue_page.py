"""One queue in depth: its backlog, what comes in, what runs next, and the sizes its runs have had."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median
from typing import Any

from django.db.models import F, OuterRef, Q, Sum, Value
from django.db.models.expressions import Combinable

from queues.domain.states import ChunkState, Priority, RunState
from queues.models import Chunk, Queue, QueueSlot, Run
from queues.selectors.expressions import PARKED_KIND, UNENDED, BoundedSums, ready_kind, time_bucket
from queues.selectors.job_walk import Parts

# Chunk rows that are read of each priority and state.
EACH = 2_000
NEXT = 50
# Chunk rows that a chart of arrivals may read; of more, the newest.
ARRIVALS = 50_000
RECENT = 200


@dataclass(frozen=True, slots=True)
class Share:
    """What waits at one priority: due, planned for later, or for a next try. `exact` is false where there is more than
    was counted."""

    priority: str
    due: int
    scheduled: int
    retrying: int
    oldest: datetime | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a queue holds that has not ended; jobs, not chunks."""

    shares: list[Share]
    held: int
    dead: int
    trashed: int
    exact: bool

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest due work is due."""
        return min((share.oldest for share in self.shares if share.oldest), default=None)


@dataclass(frozen=True, slots=True)
class NextChunk:
    """A chunk in the order of service. `due_at` is when it may start, or could have."""

    id: int
    batch_id: int | None
    batch_name: str
    handler: str
    priority: str
    jobs: int
    due_at: datetime
    due: bool
    solo: bool
    again: bool
    losses: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Jobs enqueued, by the start of the bucket; `since` is later than asked where there was too much to read."""

    jobs: dict[datetime, int]
    since: datetime
    whole: bool


@dataclass(frozen=True, slots=True)
class RunSize:
    """How large one ended run was, and how long it took."""

    id: int
    finished_at: datetime
    seconds: float
    wanted: int
    claimed: int
    chunks: int
    wait_ms: float
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Slots:
    """Runs in flight, of how many (None: as many as there are workers)."""

    used: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the policy asks for."""

    chunk_size: int
    run_size: int
    run_target: float


def backlog(queue: int, now: datetime) -> Backlog:
    """By state and priority. Three queries, over at most `EACH` chunks of each."""
    row: Any = Queue.objects.filter(pk=queue).values(
        held=_sum(Q(state=ChunkState.HELD), Value(0)), parked=_sum(Q(state=ChunkState.PARKED), PARKED_KIND)
    )[0]
    ready, oldest = _ready(queue, now), _oldest(queue, now)
    shares = [
        Share(priority.label, due, scheduled, retrying, oldest.get(priority), seen <= EACH)
        for priority in Priority
        for due, scheduled, retrying, seen in [ready.get(priority, (0, 0, 0, 0))]
    ]
    held, parked = row["held"], row["parked"]
    exact = all(share.exact for share in shares) and max(held[-1], parked[-1]) <= EACH
    return Backlog(shares, held[0], parked[0], parked[1], exact)


def next_chunks(queue: int, now: datetime) -> list[NextChunk]:
    """The chunks that a claim takes first, then those that become due first. Two queries of `NEXT` rows a priority."""
    due, later = ({"run_at__lte": now}, {"run_at__gt": now})
    found = _first(queue, due, ("priority", "run_at", "pk"))
    if len(found) < NEXT:
        found += _first(queue, later, ("run_at", "priority", "pk"))[: NEXT - len(found)]
    return [
        NextChunk(
            *(pk, batch, name or "", handler, Priority(priority).label, jobs),
            due_at=max(run_at, created_at) if run_at <= now else run_at,
            due=run_at <= now,
            solo=solo,
            again=again,
            losses=losses,
        )
        for pk, batch, name, handler, priority, jobs, run_at, created_at, solo, again, losses in found
    ]


def arrivals(queue: int, since: datetime, bucket: int, until: datetime | None = None) -> Arrivals:
    """Jobs enqueued since then, or between the two times, by buckets of so many seconds: what comes again after a
    failure is not counted."""
    born = Chunk.objects.filter(queue=queue, created_at__gte=since)
    if until is not None:
        born = born.filter(created_at__lt=until)
    most = born.order_by("-created_at", "-pk").values_list("created_at", flat=True)[ARRIVALS : ARRIVALS + 1]
    cut = next(iter(most), None)
    if cut is not None:
        born = born.filter(created_at__gt=cut)
    rows: Iterable[tuple[datetime, int]] = (
        born.filter(span__isnull=False)
        .values_list(time_bucket("created_at", bucket))
        .annotate(Sum("span"))
        .order_by(time_bucket("created_at", bucket))
    )
    return Arrivals(dict(rows), cut or since, whole=cut is None)


def recent_runs(queue: int) -> list[RunSize]:
    """The last runs that ended as they should, oldest first."""
    fields = ("pk", "state", "careful", "started_at", "finished_at", "wanted", "claimed", "chunks", "wait_ms")
    rows = (
        Run.objects.filter(queue=queue, finished_at__isnull=False)
        .order_by("-finished_at")
        .values_list(*fields, "p50_ms", "p95_ms")[:RECENT]
    )
    found = [
        RunSize(pk, finished, max((finished - started).total_seconds(), 0.0), *sizes)
        for pk, state, careful, started, finished, *sizes in rows
        # A run that looks for a poison job takes one job at a time, which says nothing of sizes.
        if state == RunState.DONE and not careful and finished is not None
    ]
    return found[::-1]


def mean_chunk(runs: list[RunSize]) -> float | None:
    """Jobs in a chunk, as these runs met them."""
    chunks = sum(run.chunks for run in runs)
    return sum(run.claimed for run in runs) / chunks if chunks else None


def mean_run(runs: list[RunSize]) -> tuple[float, float] | None:
    """Jobs and seconds of one of these runs, on average."""
    return (mean(run.claimed for run in runs), median(run.seconds for run in runs)) if runs else None


def slots(queue: int) -> Slots:
    """Runs in flight against their limit."""
    limit = Queue.objects.filter(pk=queue).values_list("max_runs", flat=True).first()
    if limit is None:
        return Slots(Run.objects.filter(queue=queue, state=RunState.RUNNING).count(), None)
    return Slots(QueueSlot.objects.filter(queue=queue, run_id__isnull=False).count(), limit)


def sizes(queue: int) -> Sizes:
    """Of one queue."""
    return Sizes(*Queue.objects.filter(pk=queue).values_list("chunk_size", "run_size", "run_target")[0])


def limits() -> dict[int, int | None]:
    """How many runs each queue may have in flight."""
    return dict(Queue.objects.values_list("pk", "max_runs"))


def window_start(now: datetime, window: timedelta, bucket: int) -> datetime:
    """The start of the first whole bucket of a window."""
    seconds = int((now - window).timestamp()) // bucket * bucket + bucket
    return datetime.fromtimestamp(seconds, now.tzinfo)


def _each_priority(queue: int, **when: datetime) -> Parts:
    """What is ready in a queue, priority by priority: a descent of the index for each, since what is not due at a high
    one is not walked over to reach the next."""
    rows = Chunk.objects.filter(queue=queue, state=ChunkState.READY, **when)
    return Parts(rows, ("priority",), [(priority.value,) for priority in Priority])


def _oldest(queue: int, now: datetime) -> dict[int, datetime]:
    fields = ("priority", "run_at", "created_at")
    due = _each_priority(queue, run_at__lte=now)
    first = due.read(lambda rows: rows.order_by("run_at", "pk").values_list(*fields)[:1])
    return {priority: max(run_at, born) for priority, run_at, born in first}


def _first(queue: int, when: dict[str, datetime], order: tuple[str, ...]) -> list[tuple[Any, ...]]:
    found = _each_priority(queue, **when).read(lambda rows: rows.order_by("run_at", "pk").values_list("pk")[:NEXT])
    rows = (
        Chunk.objects.filter(pk__in=[pk for (pk,) in found])
        .annotate(jobs=UNENDED)
        .order_by(*order)
        .values_list(
            *("pk", "batch_id", "batch__name", "handler", "priority", "jobs", "run_at", "created_at"),
            *("solo", "is_retry", "losses"),
        )
    )
    return list(rows[:NEXT])


def _ready(queue: int, now: datetime) -> dict[int, tuple[int, int, int, int]]:
    """Jobs that are due, scheduled and waiting for a next try, and the chunks that were read for it, by priority."""
    rows = _each_priority(queue).read(
        lambda ready: (
            ready.annotate(jobs=UNENDED, kind=ready_kind(now))
            .order_by("run_at", "pk")
            .values_list("priority", "jobs", "kind")[: EACH + 1]
        ),
        each="part_due",
    )
    return {priority: (due, later, again, seen) for priority, due, later, again, seen in rows if seen}


def _sum(which: Q, kind: Combinable) -> BoundedSums:
    rows = Chunk.objects.filter(which, queue=OuterRef("pk")).order_by("id").annotate(jobs=F("size"), kind=kind)
    return BoundedSums(rows.values("jobs", "kind")[: EACH + 1])
