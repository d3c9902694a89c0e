"""How far a batch is and when it will end. Pure: samples and counts in, figures out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

# A rate is measured over this long at most, and not from samples closer together than the second figure.
WINDOW = timedelta(seconds=20)
SHORTEST = timedelta(seconds=3)
# Nothing is claimed, run and settled in so little.
INSTANT = timedelta(milliseconds=1)


class Counts(Protocol):
    """The jobs of a batch by where they stand."""

    @property
    def succeeded(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def trashed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """How many jobs of a batch had ended at a time."""

    at: datetime
    ended: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a progress bar, in thousandths of its length."""

    kind: str
    count: int
    start: float
    width: float


# In the order in which they are drawn: what has ended grows from the left.
KINDS = ("succeeded", "dead", "cancelled", "trashed", "running", "waiting")
LENGTH = 1000.0
# Nothing that exists is drawn narrower: three dead of a million must be seen.
NARROWEST = 4.0


def segments(counts: Counts) -> list[Segment]:
    """The bar of a batch: exact counts, and lengths that fill it without gap or overlap."""
    numbers = [(kind, int(getattr(counts, kind))) for kind in KINDS if getattr(counts, kind) > 0]
    total = sum(number for _, number in numbers)
    widths = [max(NARROWEST, number * LENGTH / total) for _, number in numbers]
    excess = sum(widths) - LENGTH
    if excess > 0:
        # What the narrow ones were given is taken from the widest.
        widest = widths.index(max(widths))
        widths[widest] -= excess
    bar, start = [], 0.0
    for (kind, number), width in zip(numbers, widths, strict=True):
        bar.append(Segment(kind, number, round(start, 2), round(width, 2)))
        start += width
    return bar


def percent(counts: Counts) -> int:
    """How much has ended, in whole per cent: all of it only when all has."""
    unended = counts.waiting + counts.running
    total = counts.succeeded + counts.dead + counts.cancelled + counts.trashed + unended
    return 100 * (total - unended) // total if total else 0


def rate(samples: Sequence[Sample], now: datetime) -> float | None:
    """Jobs ended in a second over the last samples; None when they are too few to tell."""
    recent = [sample for sample in samples if now - sample.at <= WINDOW]
    if len(recent) < 2 or recent[-1].at - recent[0].at < SHORTEST:
        return None
    # A retry of dead letters takes back what had ended: no progress is not less than none.
    return max(0.0, (recent[-1].ended - recent[0].ended) / (recent[-1].at - recent[0].at).total_seconds())


def average(ran: int, started: datetime | None, now: datetime) -> float | None:
    """Jobs that ended by running in a second since the start; None before it, and where none has."""
    if started is None or ran <= 0:
        return None
    return ran / max(1.0, (now - started).total_seconds())


def lasted(ran: int, started: datetime | None, end: datetime) -> timedelta | None:
    """From the start to the end, or to now; None for what has not started.

    Nor has a batch of which nothing ran until it was cancelled: it was given its end for a start.
    """
    if started is None or (not ran and end - started < INSTANT):
        return None
    return end - started


def time_left(unended: int, per_second: float | None) -> timedelta | None:
    """How long it takes at this rate; None when nothing moves."""
    if not unended:
        return timedelta()
    if not per_second or unended / per_second > 10 * 365 * 86_400:
        return None
    return timedelta(seconds=unended / per_second)
