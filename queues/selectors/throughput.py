"""How fast work is done: from the run rows, never from the jobs.

A run's work is spread evenly over its life, from its start to its end (or to now while it runs; a
checkpoint writes its counts every two seconds). So a run of a minute counts in each second of that minute
instead of all at once in its last, nothing counts twice, and the sum over all times is what was done. Each
reading sums a whole window anew: what is committed late is then seen late, but never missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, FloatField, Max, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest, Least, TruncMinute

from queues.domain.states import RunState
from queues.models import Run
from queues.selectors.expressions import Percentile, seconds_between, time_bucket

# The shortest life of a run that is divided by.
INSTANT = 0.001


@dataclass(frozen=True, slots=True)
class WorkGroup:
    """What the runs have done that started in bucket `first` and ended in bucket `last`."""

    first: int
    last: int
    succeeded: int
    retried: int
    dead: int


@dataclass(frozen=True, slots=True)
class QueueMinute:
    """The runs of one queue that ended in one minute."""

    queue_id: int
    minute: datetime
    runs: int
    claimed: int
    succeeded: int
    failed: int
    retried: int
    dead: int
    bytes: int
    wait_p50: float | None
    wait_p95: float | None
    handler_p50: float | None
    handler_p95: float | None


def rates(now: datetime, window: timedelta) -> dict[int, float]:
    """Tries ended in each second (succeeded or failed) of the last `window`, by queue. Two queries."""
    since = now - window
    ended = Run.objects.filter(finished_at__gte=since)
    running = Run.objects.filter(state=RunState.RUNNING)
    total: dict[int, float] = {}
    for runs, end in ((ended, F("finished_at")), (running, Value(now))):
        for queue, work in _work_within(runs, since, end):
            total[queue] = total.get(queue, 0.0) + work / window.total_seconds()
    return total


def ended_work(since: datetime, until: datetime, bucket: int) -> list[WorkGroup]:
    """Runs that ended in [since, until), by the buckets of so many seconds of their start and end."""
    runs = Run.objects.filter(finished_at__gte=since, finished_at__lt=until)
    return _groups(runs, bucket, time_bucket("finished_at", bucket))


def running_work(now: datetime, bucket: int) -> list[WorkGroup]:
    """What the running runs have done so far."""
    current = Value(int(now.timestamp() // bucket))
    return _groups(Run.objects.filter(state=RunState.RUNNING), bucket, current)


def minutes(since: datetime, until: datetime) -> list[QueueMinute]:
    """Each queue and minute in [since, until), by the minute in which its runs ended."""
    rows = (
        Run.objects.filter(finished_at__gte=since, finished_at__lt=until)
        .values("queue_id", minute=TruncMinute("finished_at"))
        .annotate(
            runs=Count("pk"),
            # The columns are summed under other names first: an annotation may not hide its own source.
            **{f"sum_{name}": Sum(name) for name in _SUMMED},
            wait_p50=Percentile("wait_ms", 0.5),
            wait_p95=Percentile("wait_ms", 0.95),
            handler_p50=Percentile("p50_ms", 0.5),
            handler_p95=Percentile("p95_ms", 0.95),
        )
        .order_by("minute", "queue_id")
    )
    plain: list[dict[str, Any]] = [{name.removeprefix("sum_"): value for name, value in row.items()} for row in rows]
    return [QueueMinute(**row) for row in plain]


def last_end() -> datetime | None:
    """When the last run ended: for pages that have nothing newer to show."""
    end: datetime | None = Run.objects.aggregate(end=Max("finished_at"))["end"]
    return end


_SUMMED = ("claimed", "succeeded", "failed", "retried", "dead", "bytes")


def _work_within(runs: QuerySet[Run], since: datetime, end: Combinable) -> Iterable[tuple[int, float]]:
    life = Greatest(seconds_between(F("started_at"), end), Value(INSTANT), output_field=FloatField())
    begin = Greatest(F("started_at"), Value(since))
    inside = Greatest(seconds_between(begin, end), Value(0.0), output_field=FloatField())
    # A run shorter than an instant lies inside as a whole.
    share = Least(Greatest(inside, Value(INSTANT)) / life, Value(1.0), output_field=FloatField())
    work = Sum((F("succeeded") + F("failed")) * share, output_field=FloatField())
    return runs.values_list("queue_id").annotate(work=work)


def _groups(runs: QuerySet[Run], bucket: int, last: Combinable) -> list[WorkGroup]:
    rows = (
        runs.annotate(first=time_bucket("started_at", bucket), last=last)
        .values_list("first", "last")
        .annotate(Sum("succeeded"), Sum("retried"), Sum("dead"))
        .order_by("first", "last")
    )
    return [WorkGroup(*row) for row in rows if any(row[2:])]
