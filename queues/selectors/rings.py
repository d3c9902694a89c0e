"""Whether somebody rings, carries the rings and does the work: a few small reads, for the health page."""

from datetime import datetime, timedelta

from django.db.models import Max

from queues.domain.spans import span
from queues.domain.states import WorkerState
from queues.models import Queue, Worker

# Beat writes down when it last rang every three minutes.
RINGS_WITHIN = timedelta(minutes=10)
FAILS_WITHIN = timedelta(minutes=1)
MANY_FAILURES = 3
BEATS_WITHIN = timedelta(minutes=1)


def scheduler_problem(now: datetime) -> str:
    """What is wrong with beat; empty while it rings. Without it work goes on, later."""
    from django_celery_beat.models import PeriodicTask

    last = PeriodicTask.objects.filter(enabled=True).aggregate(last=Max("last_run_at"))["last"]
    if last is None:
        return "has never rung"
    return f"has not rung for {span(now - last)}" if now - last > RINGS_WITHIN else ""


def broker_problem(now: datetime) -> str:
    """What the last hints say of the broker; empty while it takes them. Nothing is sent for this."""
    failing = Queue.objects.filter(hint_failures__gte=MANY_FAILURES, hint_failed_at__gte=now - FAILS_WITHIN)
    count = failing.count()
    return f"takes no messages for {count:,} queue{'' if count == 1 else 's'}" if count else ""


def workers_alive(now: datetime) -> int:
    """Workers that have been heard of within a minute."""
    return Worker.objects.exclude(state=WorkerState.STOPPED).filter(heartbeat_at__gte=now - BEATS_WITHIN).count()
