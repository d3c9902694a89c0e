"""Archive and purge as they are rung: a short slice of time each, and whether more is left to do.

They share one slot with errands that must not be late (drive every second), so that a slice has to be short. Whoever
rings asks again at once while more is left: at the end of the line, behind the errands that wait.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from queues.services import audit
from queues.services.archive import archive as archive_jobs
from queues.services.purge import purge as purge_rows

SLICE = 0.3
ARCHIVE, PURGE = "archive jobs", "purge"
EVERYTHING = "what is past its time"


def archive() -> bool:
    """Move finished jobs out of the hot tables for a slice of time; whether more is left."""

    def work() -> dict[str, int]:
        return {"jobs": archive_jobs(seconds=SLICE)}

    return _slice(work, ARCHIVE)


def purge() -> bool:
    """Drop what is past its retention for a slice of time; whether more is left."""
    return _slice(lambda: purge_rows(seconds=SLICE), PURGE)


def archive_all(*, actor: str, source: str, progress: Callable[[int], None] | None = None) -> int:
    """Archive for a person until nothing is left; returns how many jobs."""
    moved = archive_jobs(seconds=None, progress=progress)
    audit.record(actor=actor, source=source, action=ARCHIVE, target=EVERYTHING, jobs=moved)
    return moved


def purge_all(*, actor: str, source: str, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
    """Purge for a person until nothing is left; returns how much of what."""
    removed = purge_rows(seconds=None, progress=progress)
    told: dict[str, Any] = {name: count for name, count in removed.items() if count}
    audit.record(actor=actor, source=source, action=PURGE, target=EVERYTHING, **told)
    return removed


def _slice(work: Callable[[], dict[str, int]], action: str) -> bool:
    """Work that ends early has nothing left; what moved nothing in its time would not next time either."""
    until = monotonic() + SLICE
    done = work()
    more = sum(done.values()) > 0 and monotonic() >= until
    audit.add_up(action=action, target=EVERYTHING, counts=done)
    return more
