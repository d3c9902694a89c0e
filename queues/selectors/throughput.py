"""How fast work is done: from the run rows, never from the jobs.

A run's work is spread evenly over its life, from its start to its end (or to now while it runs; a
checkpoint writes its counts every two seconds). So a run of a minute counts in each second of that minute
instead of all at once in its last, nothing counts twice, and the sum over all times is what was done. Each
reading sums a whole window anew: what is committed late is then seen late, but never missed.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, Count, F, FloatField, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Greatest, Least, Round, TruncMinute

from queues.domain.states import RunState
from queues.models import Queue, Run
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
    lost: int
    lasted_ms: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class Sums:
    """Runs of one queue that have ended, summed. Whole numbers: the same in whatever order they are added."""

    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    lost: int = 0
    bytes: int = 0
    lasted_ms: int = 0
    waited_ms: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        mine, theirs = astuple(self), astuple(other)
        return Sums(*(a + b for a, b in zip(mine, theirs, strict=True)))


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the runs of one queue took, and their oldest chunk waited, in seconds, lately."""

    lasted: dict[float, float]
    waited: dict[float, float]


QUANTILES = (0.5, 0.95)


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
    current = datetime.fromtimestamp(now.timestamp() // bucket * bucket, UTC)
    return _groups(Run.objects.filter(state=RunState.RUNNING), bucket, Value(current))


def minutes(since: datetime, until: datetime) -> list[QueueMinute]:
    """Each queue and minute in [since, until), by the minute in which its runs ended."""
    rows = (
        # A queue may have been deleted whose runs are still kept.
        Run.objects.filter(finished_at__gte=since, finished_at__lt=until, queue__in=Queue.objects.values("pk"))
        .values("queue_id", minute=TruncMinute("finished_at"))
        .annotate(
            runs=Count("pk"),
            # The columns are summed under other names first: an annotation may not hide its own source.
            **{f"sum_{name}": Sum(name) for name in _SUMMED},
            wait_p50=Percentile("wait_ms", 0.5),
            wait_p95=Percentile("wait_ms", 0.95),
            handler_p50=Percentile("p50_ms", 0.5),
            handler_p95=Percentile("p95_ms", 0.95),
            **_WHOLE,
        )
        .order_by("minute", "queue_id")
    )
    plain: list[dict[str, Any]] = [{name.removeprefix("sum_"): value for name, value in row.items()} for row in rows]
    return [QueueMinute(**row) for row in plain]


def last_end() -> datetime | None:
    """When the last run ended: for pages that have nothing newer to show."""
    end: datetime | None = Run.objects.aggregate(end=Max("finished_at"))["end"]
    return end


def sums_since(since: datetime | None) -> dict[int, Sums]:
    """What has ended since then, by queue; since ever without a time."""
    ended = (
        Run.objects.filter(finished_at__isnull=False) if since is None else Run.objects.filter(finished_at__gte=since)
    )
    rows: Any = ended.values("queue_id").annotate(
        runs=Count("pk"), **{f"sum_{name}": Sum(name) for name in _SUMMED if name != "claimed"}, **_WHOLE
    )
    return {
        row.pop("queue_id"): Sums(**{name.removeprefix("sum_"): value or 0 for name, value in row.items()})
        for row in map(dict, rows)
    }


def first_end() -> datetime | None:
    """When the first run ended of those that are kept."""
    end: datetime | None = Run.objects.aggregate(end=Min("finished_at"))["end"]
    return end


def durations(since: datetime) -> dict[int, Durations]:
    """Quantiles of the runs that have ended since then, by queue."""
    lasted = seconds_between(F("started_at"), F("finished_at"))
    rows: Any = (
        Run.objects.filter(finished_at__gte=since)
        .annotate(lasted=lasted)
        .values("queue_id")
        .annotate(
            **{f"lasted_{n}": Percentile("lasted", quantile) for n, quantile in enumerate(QUANTILES)},
            **{f"waited_{n}": Percentile("wait_ms", quantile) for n, quantile in enumerate(QUANTILES)},
        )
    )
    return {
        row["queue_id"]: Durations(
            {quantile: row[f"lasted_{n}"] or 0.0 for n, quantile in enumerate(QUANTILES)},
            {quantile: (row[f"waited_{n}"] or 0.0) / 1000 for n, quantile in enumerate(QUANTILES)},
        )
        for row in rows
    }


def running_runs() -> dict[int, int]:
    """Runs in flight, by queue."""
    rows: Iterable[tuple[int, int]] = (
        Run.objects.filter(state=RunState.RUNNING).values_list("queue_id").annotate(Count("pk"))
    )
    return dict(rows)


def _whole_ms(seconds: Combinable) -> Combinable:
    return Sum(Cast(Round(seconds * Value(1000.0)), BigIntegerField()))


_SUMMED = ("claimed", "succeeded", "failed", "retried", "dead", "bytes")
_WHOLE: dict[str, Any] = {
    "lost": Count("pk", filter=Q(state=RunState.LOST)),
    "lasted_ms": _whole_ms(seconds_between(F("started_at"), F("finished_at"))),
    "waited_ms": Sum(Cast(Round("wait_ms"), BigIntegerField())),
}


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
    return [
        WorkGroup(int(first.timestamp()) // bucket, int(last.timestamp()) // bucket, *counts)
        for first, last, *counts in rows
        if any(counts)
    ]
