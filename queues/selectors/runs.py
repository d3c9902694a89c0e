"""Runs: those that go on, and those that have ended, newest first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from queues.domain.states import RunState
from queues.models import Queue, Run, Worker
from queues.selectors import timeline
from queues.selectors.figures import queue_id

# Running runs that one page shows.
RUNNING = 200
_COUNTS = ("chunks", "claimed", "wanted", "succeeded", "failed", "retried", "dead", "cancelled", "returned", "late")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. A queue or worker whose row is gone has an empty name."""

    id: int
    queue: str
    worker_id: UUID
    worker: str
    handler: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    lease_until: datetime
    careful: bool
    chunks: int
    claimed: int
    wanted: int
    succeeded: int
    failed: int
    retried: int
    dead: int
    cancelled: int
    returned: int
    late: int
    wait_ms: float
    p50_ms: float | None
    p95_ms: float | None

    @property
    def ended(self) -> int:
        """Jobs that have come to an end of this try so far, by the last checkpoint."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def took(self) -> timedelta | None:
        """From claim to end."""
        return self.finished_at - self.started_at if self.finished_at else None


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which ended runs are meant: all that match every given part. `state` is done, lost or released."""

    queue: str = ""
    worker: UUID | None = None
    state: str = ""


def running(*, queue: str = "", workers: Iterable[UUID] | None = None, limit: int = RUNNING) -> list[RunRow]:
    """Runs that go on, the longest first; of one queue or of some workers."""
    rows = Run.objects.filter(state=RunState.RUNNING)
    if queue:
        rows = rows.filter(queue=queue_id(queue))
    if workers is not None:
        rows = rows.filter(worker_id__in=list(workers))
    return _rows(rows.order_by("started_at", "pk")[:limit])


def runs(ids: Iterable[int]) -> dict[int, RunRow]:
    """Some runs, whatever has become of them; those that were forgotten are missing."""
    return {row.id: row for row in _rows(Run.objects.filter(pk__in=list(ids)))}


def run_page(
    query: RunQuery, *, before: timeline.Place | None = None, after: timeline.Place | None = None
) -> timeline.Page[RunRow]:
    """Ended runs. By worker or state no index leads to them: each page looks through a bounded number of runs."""
    rows = Run.objects.filter(finished_at__isnull=False)
    if query.queue:
        rows = rows.filter(queue=queue_id(query.queue))
    parts = Q()
    if query.worker is not None:
        parts &= Q(worker_id=query.worker)
        born = Worker.objects.filter(pk=query.worker).values_list("started_at", flat=True).first()
        if born is not None:
            # What ended before it was born is not its own.
            rows = rows.filter(finished_at__gte=born)
    if query.state:
        parts &= Q(state=query.state)
    only = (lambda found: found.filter(parts)) if parts else None
    page = timeline.page(rows, "finished_at", only=only, before=before, after=after)
    return timeline.Page(_rows(page.rows), page.newer, page.older, page.looked)


def lost_since(since: datetime) -> dict[UUID, int]:
    """Runs that were lost since then, by worker."""
    rows = Run.objects.filter(finished_at__gte=since, state=RunState.LOST)
    found: Iterable[tuple[UUID, int]] = rows.values_list("worker_id").annotate(Count("pk"))
    return dict(found)


def _rows(found: "QuerySet[Run] | list[Run]") -> list[RunRow]:
    listed = list(found)
    # Not by joins: a row that is gone must not take its runs out of the list.
    queues = dict(Queue.objects.filter(pk__in={run.queue_id for run in listed}).values_list("pk", "name"))
    workers = dict(Worker.objects.filter(pk__in={run.worker_id for run in listed}).values_list("pk", "name"))
    return [_row(run, queues.get(run.queue_id, ""), workers.get(run.worker_id, "")) for run in listed]


def _row(run: Run, queue: str, worker: str) -> RunRow:
    return RunRow(
        id=run.pk,
        queue=queue,
        worker_id=run.worker_id,
        worker=worker,
        handler=run.handler,
        state=run.state,
        started_at=run.started_at,
        finished_at=run.finished_at,
        lease_until=run.lease_until,
        careful=run.careful,
        wait_ms=run.wait_ms,
        p50_ms=run.p50_ms,
        p95_ms=run.p95_ms,
        **{name: getattr(run, name) for name in _COUNTS},
    )
