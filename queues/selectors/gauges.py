"""Figures for those who watch from outside: each is one bounded query."""

from datetime import datetime, timedelta

from django.db.models import Count

from queues import store
from queues.domain.states import BatchState, WorkerState
from queues.models import Batch, Worker
from queues.selectors.figures import HEARTBEAT_LIMIT
from queues.services import partitions

# Workers that stopped longer ago are of no interest.
REMEMBERED = timedelta(hours=1)
# Rows that are counted; beyond, there are at least so many.
COUNTED = 10_000


def oldest_due() -> dict[str, float]:
    """Seconds for which the oldest due work of each unpaused queue has been waiting; a queue without is missing."""
    return dict(store.rows("oldest_due", queue=None))


def workers_by_state(now: datetime) -> dict[str, int]:
    """Working processes by state; `silent` are those that have not been heard of lately."""
    counts = dict.fromkeys([*(state.value for state in WorkerState), "silent"], 0)
    recent = Worker.objects.filter(heartbeat_at__gte=now - REMEMBERED)
    stopped = recent.filter(state=WorkerState.STOPPED)
    alive = recent.exclude(state=WorkerState.STOPPED)
    counts[WorkerState.STOPPED.value] = stopped.count()
    counts["silent"] = alive.filter(heartbeat_at__lt=now - HEARTBEAT_LIMIT).count()
    heard = alive.filter(heartbeat_at__gte=now - HEARTBEAT_LIMIT).order_by()
    return counts | dict(heard.values_list("state").annotate(Count("pk")))


def batches_running() -> int:
    """Batches that have not ended, up to 10,000."""
    return Batch.objects.filter(state=BatchState.RUNNING).order_by("pk")[:COUNTED].count()


def archived_jobs() -> int:
    """About how many jobs are in the archive, as the planner believes."""
    return sum(partitions.existing().values())
