"""Throughput over time, from groups of runs to buckets of a chart. Pure: no clock, no database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from queues.domain.rates import success_rate


class Work(Protocol):
    """What runs have done that started in bucket `first` and ended in bucket `last`."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def succeeded(self) -> int: ...
    @property
    def retried(self) -> int: ...
    @property
    def dead(self) -> int: ...


def _success_rate(succeeded: float, dead: float) -> float | None:
    # Shares of runs: less than half a job is nothing that has ended.
    return success_rate(succeeded, dead) if succeeded + dead >= 0.5 else None


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket: tries that ended in it, and how many of its seconds have passed."""

    start: datetime
    seconds: float
    succeeded: float = 0.0
    retried: float = 0.0
    dead: float = 0.0

    @property
    def total(self) -> float:
        """All tries that ended."""
        return self.succeeded + self.retried + self.dead

    @property
    def success_rate(self) -> float | None:
        """Succeeded of all jobs that came to an end; nothing ended has no rate."""
        return _success_rate(self.succeeded, self.dead)

    def rate(self, count: float) -> float:
        """So many tries in this bucket, for each second of it that has passed."""
        return count / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets without gaps, oldest first; the last one has not ended."""

    points: list[Point]
    bucket: int

    @property
    def succeeded(self) -> float:
        """Jobs that succeeded in the whole time."""
        return sum(point.succeeded for point in self.points)

    @property
    def retried(self) -> float:
        """Tries that failed and are tried again."""
        return sum(point.retried for point in self.points)

    @property
    def dead(self) -> float:
        """Jobs that became dead letters."""
        return sum(point.dead for point in self.points)

    @property
    def success_rate(self) -> float | None:
        """Succeeded of all jobs that came to an end; nothing ended has no rate."""
        return _success_rate(self.succeeded, self.dead)

    def coarser(self, factor: int) -> "Series":
        """Every `factor` buckets as one, for tables; cut at multiples so that rows do not shift."""
        merged: dict[int, Point] = {}
        width = self.bucket * factor
        for point in self.points:
            start = int(point.start.timestamp()) // width * width
            old = merged.get(start) or Point(_time(start), 0.0)
            merged[start] = Point(
                old.start,
                old.seconds + point.seconds,
                old.succeeded + point.succeeded,
                old.retried + point.retried,
                old.dead + point.dead,
            )
        return Series(list(merged.values()), width)


def spread(groups: Iterable[Work], now: datetime, bucket: int, count: int) -> Series:
    """The last `count` buckets up to now; the work of a group is shared evenly by the buckets it touches."""
    current = int(now.timestamp() // bucket)
    oldest = current - count + 1
    sums = [[0.0, 0.0, 0.0] for _ in range(count)]
    for group in groups:
        # A clock that was set back must not divide by nothing.
        parts = max(1, group.last - group.first + 1)
        for number in range(max(group.first, oldest), min(group.last, current) + 1):
            total = sums[number - oldest]
            total[0] += group.succeeded / parts
            total[1] += group.retried / parts
            total[2] += group.dead / parts
    points = [
        Point(
            _time((oldest + place) * bucket),
            now.timestamp() - current * bucket if place == count - 1 else float(bucket),
            *total,
        )
        for place, total in enumerate(sums)
    ]
    return Series(points, bucket)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
