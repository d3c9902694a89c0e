"""What has been done since ever, by queue: sums that only grow, also over restarts of whoever asks.

Three parts: points that are not written any more, which a process adds up once and then keeps; the points after them;
and the runs that are newer than whole minutes. A minute moves from one part to the next without a change of the sum.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime

from django.db.models import Sum

from monitoring import rollup
from monitoring.models import MetricPoint
from queues.selectors import throughput
from queues.selectors.throughput import Sums

NAMES = tuple(field.name for field in fields(Sums))


class Totals:
    """The sums of this process. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Remember nothing."""
        self._kept: dict[int, Sums] = {}
        self._until: datetime | None = None
        self._told: dict[int, Sums] = {}

    def read(self) -> dict[int, Sums]:
        """By queue."""
        with self._lock:
            newest = rollup.newest()
            if newest is None:
                found = _added(self._kept, throughput.sums_since(None))
            else:
                # What the next writings may change, and what was under way when the last one was made.
                self._keep(newest - rollup.SPAN)
                end = newest - rollup.MINUTE
                found = _added(self._kept, _points(self._until, end), throughput.sums_since(end))
            # A run that was committed more than a minute late may be missing for one writing.
            self._told = {queue: _most(sums, self._told.get(queue, Sums())) for queue, sums in found.items()}
            return dict(self._told)

    def _keep(self, until: datetime) -> None:
        if self._until is None or until > self._until:
            self._kept = _added(self._kept, _points(self._until, until))
            self._until = until


def _points(since: datetime | None, until: datetime) -> dict[int, Sums]:
    """The sums of the points in [since, until): one statement, for points may be folded meanwhile."""
    points = MetricPoint.objects.filter(minute__lt=until)
    if since is not None:
        points = points.filter(minute__gte=since)
    rows: Iterable[tuple[int, ...]] = points.values_list("queue_id").annotate(*(Sum(name) for name in NAMES))
    return {queue: Sums(*sums) for queue, *sums in rows}


def _added(*parts: Mapping[int, Sums]) -> dict[int, Sums]:
    total: dict[int, Sums] = {}
    for part in parts:
        for queue, sums in part.items():
            total[queue] = total.get(queue, Sums()) + sums
    return total


def _most(one: Sums, other: Sums) -> Sums:
    return Sums(**{name: max(getattr(one, name), getattr(other, name)) for name in NAMES})


TOTALS = Totals()
