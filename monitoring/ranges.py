"""The charts of the overview: all queues together over a window, from the minutes that are kept.

What was read is remembered for a twentieth of a bucket, so that a week of minutes is not read each second.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Max, Q, Sum

from monitoring.minutes import Window
from monitoring.models import MetricPoint
from monitoring.series import Point, Series
from queues.selectors.expressions import time_bucket

USUAL = "15m"
SHORTEST, LONGEST = timedelta(seconds=5), timedelta(seconds=60)
HALF = timedelta(minutes=5)
# Windows that are remembered: people can ask for any.
KEPT = 32


@dataclass(frozen=True, slots=True)
class Times:
    """How long work waited and took in one bucket, in milliseconds; None where nothing ended.

    The median is the mean of the minutes' medians by their runs, the 95th percentile that of the worst minute.
    """

    start: datetime
    wait_p50: float | None
    wait_p95: float | None
    handler_p50: float | None
    handler_p95: float | None


@dataclass(frozen=True, slots=True)
class Range:
    """A window in buckets without gaps, oldest first."""

    window: Window
    series: Series
    times: list[Times]


class Ranges:
    """What this process has read of each window. Safe to share between threads; it can be lost at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._kept: dict[str, tuple[datetime, Range]] = {}

    def read(self, window: Window, now: datetime) -> Range:
        """One window, as new as it has to be."""
        name = window.name
        patience = min(max(SHORTEST, timedelta(seconds=window.bucket / 20)), LONGEST)
        with self._lock:
            kept = self._kept.get(name)
        if kept and timedelta() <= now - kept[0] < patience:
            return kept[1]
        found = _read(window, now)
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = (now, found)
            for oldest in list(self._kept)[:-KEPT]:
                del self._kept[oldest]
        return found


def _read(window: Window, now: datetime) -> Range:
    starts = window.starts(now)
    fields = ("wait_p50", "wait_p95", "handler_p50", "handler_p95")
    weighted: dict[str, Any] = {
        name: part
        for field in ("wait_p50", "handler_p50")
        for name, part in (
            (f"sum_{field}", Sum(F(field) * F("runs"))),
            (f"runs_{field}", Sum("runs", filter=Q(**{f"{field}__isnull": False}))),
        )
    }
    rows: Any = (
        MetricPoint.objects.filter(minute__gte=starts[0], minute__lt=window.end(now))
        .values(start=time_bucket("minute", window.bucket))
        .annotate(
            ok=Sum("succeeded"), again=Sum("retried"), died=Sum("dead"), w95=Max("wait_p95"), h95=Max("handler_p95")
        )
        .annotate(**weighted)
    )
    found: dict[datetime, Any] = {row["start"]: row for row in rows}
    points, times = [], []
    for start in starts:
        row, seconds = found.get(start, {}), window.seconds(start, now)
        points.append(Point(start, seconds, row.get("ok", 0), row.get("again", 0), row.get("died", 0)))
        wait, handler = (_mean(row, field) for field in (fields[0], fields[2]))
        times.append(Times(start, wait, row.get("w95"), handler, row.get("h95")))
    return Range(window, Series(points, window.bucket), times)


def _mean(row: dict[str, Any], field: str) -> float | None:
    total, runs = row.get(f"sum_{field}"), row.get(f"runs_{field}")
    return total / runs if total is not None and runs else None


def deaths(now: datetime) -> dict[int, tuple[int, int]]:
    """Deaths by queue in the last five minutes, and in the five before them."""
    recent, before = now - HALF, now - 2 * HALF
    rows = (
        MetricPoint.objects.filter(minute__gte=before, dead__gt=0)
        .values_list("queue_id")
        .annotate(
            lately=Sum("dead", filter=Q(minute__gte=recent)),
            earlier=Sum("dead", filter=Q(minute__lt=recent)),
        )
    )
    return {queue: (lately or 0, earlier or 0) for queue, lately, earlier in rows}


def lost_runs(now: datetime) -> dict[int, int]:
    """Runs lost in the last ten minutes, by queue. One that was given back by a worker that stopped is not lost."""
    rows = MetricPoint.objects.filter(minute__gte=now - 2 * HALF, lost__gt=0)
    return dict(rows.values_list("queue_id").annotate(Sum("lost")))


RANGES = Ranges()
