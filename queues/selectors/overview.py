"""What only the overview asks: what came in lately, how busy the workers are, and which batches were stopped."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from queues.domain.states import BatchState, RunState, StopReason, WorkerState
from queues.models import Batch, Chunk, Queue, Run
from queues.selectors.worker_health import by_health

# Chunks that are added up for one span; beyond, at least so much came.
ARRIVALS = 20_000
STOPPED_SHOWN = 5
STOPPED_WITHIN = timedelta(hours=24)
# Ended batches that are looked at for those that were stopped.
ENDED = 2_000


@dataclass(frozen=True, slots=True)
class Slots:
    """Workers that take work, and how many of them hold a run."""

    busy: int
    all: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A batch that was stopped because of one that it waited for, which is named where it is known."""

    id: int
    name: str
    stopped_at: datetime
    cause: int | None


def arrived(since: datetime, until: datetime) -> dict[int, int]:
    """Jobs enqueued in [since, until) by queue; what comes again after a failure is not counted. Two queries."""
    queues = list(Queue.objects.values_list("pk", flat=True))
    # The queues as values: one range of the index (queue, created_at, id) for each.
    born = Chunk.objects.filter(queue__in=queues, created_at__gte=since, created_at__lt=until, span__isnull=False)
    found: dict[int, int] = {}
    for queue, span in born.order_by().values_list("queue_id", "span")[:ARRIVALS]:
        found[queue] = found.get(queue, 0) + (span or 0)
    return found


def slots(now: datetime) -> Slots:
    """Each worker that is alive and not suspended has one place. Two queries."""
    able = list(by_health(now)[0].exclude(state=WorkerState.SUSPENDED).values_list("pk", flat=True)[:1_000])
    running = Run.objects.filter(state=RunState.RUNNING, worker__in=able)
    return Slots(running.aggregate(busy=Count("worker", distinct=True))["busy"], len(able))


def stopped_batches(now: datetime) -> list[Stopped]:
    """Batches stopped by one before them within a day, the last first. Two queries, over the last that ended."""
    ended = Batch.objects.filter(finished_at__gte=now - STOPPED_WITHIN).order_by("-finished_at")
    newest = ended.values("pk")[:ENDED]
    rows = list(
        Batch.objects.filter(pk__in=newest, state=BatchState.CANCELLED, stop_reason=StopReason.UPSTREAM)
        .order_by("-finished_at", "-pk")
        .values_list("pk", "name", "finished_at")[:STOPPED_SHOWN]
    )
    before = Batch.objects.filter(links_after__after__in=[pk for pk, *_ in rows])
    causes = dict(
        before.exclude(state__in=[BatchState.RUNNING, BatchState.COMPLETED])
        .order_by("finished_at", "pk")
        .values_list("links_after__after", "pk")
    )
    return [Stopped(pk, name, finished, causes.get(pk)) for pk, name, finished in rows if finished is not None]
