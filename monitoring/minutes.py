"""What the kept minutes say of queues: one bounded query for each question."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Sum

from monitoring.models import MetricPoint
from queues.domain.rates import success_rate
from queues.selectors.expressions import time_bucket

LATELY = timedelta(minutes=15)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that a page can show, in buckets of so many seconds."""

    name: str
    words: str
    length: timedelta
    bucket: int

    @property
    def count(self) -> int:
        """How many buckets."""
        return int(self.length.total_seconds()) // self.bucket


WINDOWS = {
    window.name: window
    for window in (
        Window("15m", "15 minutes", timedelta(minutes=15), 60),
        Window("1h", "hour", timedelta(hours=1), 60),
        Window("6h", "6 hours", timedelta(hours=6), 300),
        Window("24h", "24 hours", timedelta(hours=24), 1_200),
        Window("7d", "7 days", timedelta(days=7), 7_200),
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
    wait_p95: float | None = None
    handler_p95: float | None = None

    @property
    def success_rate(self) -> float | None:
        """Of what came to an end."""
        return success_rate(self.succeeded, self.dead)


_SUMS: dict[str, Any] = {
    **{f"sum_{name}": Sum(name) for name in ("succeeded", "retried", "dead", "runs", "lost")},
    "sum_wait_p95": Max("wait_p95"),
    "sum_handler_p95": Max("handler_p95"),
}


def by_bucket(queue: int, since: datetime, bucket: int) -> dict[datetime, Minutes]:
    """The minutes of one queue since then, by the start of their bucket."""
    rows: Any = (
        MetricPoint.objects.filter(queue_id=queue, minute__gte=since)
        .values(start=time_bucket("minute", bucket))
        .annotate(**_SUMS)
    )
    return {row["start"]: _minutes(row) for row in rows}


def lately(now: datetime) -> dict[int, Minutes]:
    """The last quarter of an hour, by queue."""
    rows: Any = MetricPoint.objects.filter(minute__gte=now - LATELY).values("queue_id").annotate(**_SUMS)
    return {row["queue_id"]: _minutes(row) for row in rows}


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
    return Minutes(**{name.removeprefix("sum_"): value for name, value in row.items() if name.startswith("sum_")})
