"""Archive and purge as they are rung: a short slice of time each, and whether more is left to do.

They share one slot with errands that must not be late (drive every second), so that a slice has to be short. Whoever
rings asks again at once while more is left: at the end of the line, behind the errands that wait.
"""

from collections.abc import Callable
from time import monotonic

from queues.services.archive import archive as archive_jobs
from queues.services.purge import purge as purge_rows

SLICE = 0.3


def archive() -> bool:
    """Move finished jobs out of the hot tables for a slice of time; whether more is left."""
    return _slice(lambda: archive_jobs(seconds=SLICE))


def purge() -> bool:
    """Drop what is past its retention for a slice of time; whether more is left."""
    return _slice(lambda: sum(purge_rows(seconds=SLICE).values()))


def _slice(work: Callable[[], int]) -> bool:
    """Work that ends early has nothing left; what moved nothing in its time would not next time either."""
    until = monotonic() + SLICE
    return work() > 0 and monotonic() >= until
