"""What the kept minutes say of queues: one bounded query for each question."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Sum

from monitoring.models import MetricPoint
from queues.domain.rates import success_rate
from queues.selectors.expressions import time_bucket
from queues.selectors.queue_page import window_start

LATELY = timedelta(minutes=15)
HOUR = timedelta(hours=1)
FIVE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that a page can show, in buckets of so many seconds. One with a `since` of its own does not move;
    without an `until` it goes on until now."""

    name: str
    words: str
    length: timedelta
    bucket: int
    since: datetime | None = None
    until: datetime | None = None

    def end(self, now: datetime) -> datetime:
        """Where it ends."""
        return self.until or now

    def starts(self, now: datetime) -> list[datetime]:
        """The starts of its buckets, oldest first."""
        first = self.since or window_start(now, self.length, self.bucket)
        if self.since is None:
            count = int(self.length.total_seconds()) // self.bucket
        else:
            count = max(1, math.ceil((self.end(now) - first).total_seconds() / self.bucket))
        return [first + timedelta(seconds=place * self.bucket) for place in range(count)]

    def seconds(self, start: datetime, now: datetime) -> float:
        """How much of the bucket has passed, as far as it belongs to the window."""
        return min(float(self.bucket), max(0.0, (self.end(now) - start).total_seconds()))


WINDOWS = {
    window.name: window
    for window in (
        Window("15m", "the last 15 minutes", timedelta(minutes=15), 60),
        Window("1h", "the last hour", timedelta(hours=1), 60),
        Window("6h", "the last 6 hours", timedelta(hours=6), 300),
        Window("24h", "the last 24 hours", timedelta(hours=24), 1_200),
        Window("7d", "the last 7 days", timedelta(days=7), 7_200),
    )
}
USUAL = "1h"


@dataclass(frozen=True, slots=True)
class Minutes:
    """Some minutes of one queue, summed; the percentiles are the worst minute's, in milliseconds."""

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    runs: int = 0
    lost: int = 0
    lasted_ms: int = 0
    wait_p95: float | None = None
    handler_p95: float | None = None

    @property
    def success_rate(self) -> float | None:
        """Of what came to an end."""
        return success_rate(self.succeeded, self.dead)

    @property
    def mean_run(self) -> timedelta | None:
        """How long a run took."""
        return timedelta(milliseconds=self.lasted_ms / self.runs) if self.runs else None

    @property
    def failing(self) -> float | None:
        """Tries that failed, of all."""
        failed = self.retried + self.dead
        return failed / (failed + self.succeeded) if failed + self.succeeded else None


_SUMS: dict[str, Any] = {
    **{f"sum_{name}": Sum(name) for name in ("succeeded", "retried", "dead", "runs", "lost", "lasted_ms")},
    "sum_wait_p95": Max("wait_p95"),
    "sum_handler_p95": Max("handler_p95"),
}


def by_bucket(queue: int, since: datetime, bucket: int, until: datetime | None = None) -> dict[datetime, Minutes]:
    """The minutes of one queue since then, or between the two times, by the start of their bucket."""
    found = MetricPoint.objects.filter(queue_id=queue, minute__gte=since)
    if until is not None:
        found = found.filter(minute__lt=until)
    rows: Any = found.values(start=time_bucket("minute", bucket)).annotate(**_SUMS)
    return {row["start"]: _minutes(row) for row in rows}


def summed(since: datetime, until: datetime) -> Minutes:
    """The minutes of all queues in [since, until)."""
    return _minutes(MetricPoint.objects.filter(minute__gte=since, minute__lt=until).aggregate(**_SUMS))


def lately(now: datetime) -> dict[int, Minutes]:
    """The last quarter of an hour, by queue."""
    rows: Any = MetricPoint.objects.filter(minute__gte=now - LATELY).values("queue_id").annotate(**_SUMS)
    return {row["queue_id"]: _minutes(row) for row in rows}


def ended(now: datetime) -> dict[int, float]:
    """Jobs a second that succeeded or died in the last five whole minutes, by queue."""
    end = now.replace(second=0, microsecond=0)
    rows = MetricPoint.objects.filter(minute__gte=end - FIVE, minute__lt=end).values_list("queue_id")
    sums = rows.annotate(Sum("succeeded"), Sum("dead"))
    return {queue: (succeeded + dead) / FIVE.total_seconds() for queue, succeeded, dead in sums}


def last_hour(now: datetime) -> dict[int, list[float]]:
    """Tries that ended in each of the last sixty minutes, oldest first, by queue."""
    first = (now - HOUR).replace(second=0, microsecond=0)
    rows = MetricPoint.objects.filter(minute__gt=first).values_list("queue_id", "minute", "succeeded", "failed")
    found: dict[int, list[float]] = {}
    for queue, minute, succeeded, failed in rows:
        place = int((minute - first).total_seconds()) // 60 - 1
        if 0 <= place < 60:
            found.setdefault(queue, [0.0] * 60)[place] = float(succeeded + failed)
    return found


def _minutes(row: dict[str, Any]) -> Minutes:
    found = {name.removeprefix("sum_"): value for name, value in row.items() if name.startswith("sum_")}
    return Minutes(**{name: value for name, value in found.items() if value is not None})
