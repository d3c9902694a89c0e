"""When a backlog will be gone. Pure: how much waits, what came and what ended go in, a verdict comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

# A forecast further away than this says nothing.
FURTHEST = timedelta(days=365)
# Below this many jobs a second nothing is said to move.
STANDS = 1e-6


@dataclass(frozen=True, slots=True)
class Forecast:
    """`kind` is empty, clears, grows, stalled or paused; `left` is how long a backlog that clears still takes."""

    kind: str
    left: timedelta | None = None


def steady(arrivals: Sequence[float]) -> float:
    """The arrivals that go on, from those of equally long spans: their median.

    A batch that was handed over at once is in one span and says nothing of what comes next; what comes all the time
    is in most of them.
    """
    return float(median(arrivals)) if arrivals else 0.0


def forecast(waiting: float, arriving: float, ending: float, *, stopped: bool = False) -> Forecast:
    """What becomes of `waiting` jobs while so many arrive and so many end in a second.

    `stopped` says that something waits which nobody takes, because its queue is paused.
    """
    if waiting <= 0:
        return Forecast("paused") if stopped else Forecast("empty")
    if ending <= STANDS:
        return Forecast("stalled")
    shrinking = ending - arriving
    if shrinking <= STANDS or waiting / shrinking > FURTHEST.total_seconds():
        return Forecast("grows")
    return Forecast("clears", timedelta(seconds=waiting / shrinking))
