"""Moving finished jobs out of the hot tables, whole chunks at a time.

A round picks chunks without a lock, then, in one transaction, holds those that nobody else holds, moves their jobs and
marks or removes the chunks. Killed at any point, nothing has happened to the round; several archivers share the work.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from django.conf import settings
from psycopg import errors

from queues import store
from queues.models import Queue
from queues.services import archive_dead, partitions
from queues.services.purge import purge
from queues.services.restore import RestoreRefused, RestoreResult, restore

__all__ = ["Due", "RestoreRefused", "RestoreResult", "archive", "due", "due_by_outcome", "purge", "restore"]

log = logging.getLogger(__name__)

# Jobs and chunk rows of one round, and how long each of its statements may take.
JOBS = 5_000
CHUNKS = 1_000
TIMEOUT_MS = 20_000
SMALLEST = 50
MOST_MISSES = 3
_START = datetime(1, 1, 1, tzinfo=UTC)


class _Drift(Exception):
    """Chunks that do not hold the jobs they count: left alone, for the doctor to show."""

    def __init__(self, chunks: set[int]) -> None:
        super().__init__(chunks)
        self.chunks = chunks


@dataclass(frozen=True, slots=True)
class Due:
    """What the next archiving would move of one queue; the jobs by how they have ended."""

    queue: str
    chunks: int
    jobs: int
    succeeded: int
    cancelled: int
    deleted: int
    dead: int


@dataclass(slots=True)
class _Walk:
    """How far the walk over one queue's finished chunks has come, or over its dead letters."""

    queue: int
    grace: float
    cancelled_grace: float | None = None
    dead: bool = False
    size: int = field(default_factory=lambda: JOBS)
    after_at: datetime = _START
    after: int = 0
    skip: set[int] = field(default_factory=set)
    misses: int = 0


def archive(
    *,
    dry_run: bool = False,
    seconds: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Archive the jobs of chunks that ended longer ago than their queue's `archive_after`; returns how many jobs.

    What was cancelled goes after `archive_cancelled_after`, dead letters after `archive_dead_after`, where the queue
    says so. Only chunks of finished batches, or of none. Ends after about `seconds`; None goes on until nothing is
    left. With `dry_run` nothing is moved: the number is what would be. `progress` is told the jobs moved so far.
    """
    if dry_run:
        return sum(jobs for _queue, _chunks, jobs in due())
    until = None if seconds is None else monotonic() + seconds
    total = 0
    _empty_trash()
    walks = _walks()
    # In another order each time: who comes last gets what is left of the time.
    random.shuffle(walks)
    for walk in walks:
        try:
            while (moved := _dead_round(walk) if walk.dead else _round(walk)) is not None:
                total += moved
                if progress is not None:
                    progress(total)
                if until is not None and monotonic() > until:
                    return total
        except store.LockTimeout:
            log.info("the archive is being changed; the next archiving goes on with queue %s", walk.queue)
    return total


def _walks() -> list[_Walk]:
    found = []
    graces = ("archive_after", "archive_cancelled_after", "archive_dead_after")
    for queue, grace, cancelled, dead in Queue.objects.values_list("pk", *graces):
        found.append(_Walk(queue, grace, cancelled))
        if dead is not None:
            found.append(_Walk(queue, dead, dead=True))
    return found


def due() -> list[tuple[str, int, int]]:
    """What the next archiving would move: queue, chunks, jobs. Counts all that is due."""
    return [(row.queue, row.chunks, row.jobs) for row in due_by_outcome()]


def due_by_outcome() -> list[Due]:
    """What the next archiving would move, for each queue, by how the jobs have ended. One row read for each chunk."""
    return [Due(*row) for row in store.rows("archive_due")]


def _empty_trash() -> None:
    """End the deleted jobs that nobody has brought back in time, so that they are archived as deleted."""
    while len(store.rows("empty_trash", seconds=settings.TRASH_AFTER, chunks=CHUNKS)) == CHUNKS:
        pass


def _round(walk: _Walk) -> int | None:
    """Move the next chunks of a queue; the number of jobs, or None when there are none left."""
    page = store.rows(
        "archive_pick",
        queue=walk.queue,
        grace=walk.grace,
        cancelled_grace=walk.cancelled_grace,
        after_at=walk.after_at,
        after=walk.after,
        skip=sorted(walk.skip),
        chunks=CHUNKS,
        jobs=walk.size,
    )
    if not page:
        return None
    chunks = [chunk for chunk, *_rest in page]
    partitions.ensure(ranges=[(low, high) for _id, _at, low, high in page if low is not None])
    moved = _tried(walk, lambda: _move(chunks))
    if moved is None:
        return 0
    walk.after, walk.after_at = page[-1][:2]
    return moved


def _dead_round(walk: _Walk) -> int | None:
    """End and move the next dead letters of a queue; the number of jobs, or None when there are none left."""
    found = archive_dead.next_page(
        queue=walk.queue, grace=walk.grace, after=(walk.after_at, walk.after), jobs=walk.size
    )
    if found is None:
        return None
    (after_at, after), chunks = found
    wanted = sorted(chunks.keys() - walk.skip)
    if wanted:
        partitions.ensure(ranges=[chunks[chunk] for chunk in wanted])
        moved = _tried(walk, lambda: archive_dead.end_and_move(chunks=wanted, move=_move))
        if moved is None:
            return 0
    else:
        moved = 0
    walk.after_at, walk.after = after_at, after
    return moved


def _tried(walk: _Walk, work: Callable[[], int]) -> int | None:
    """Do one round's transaction; None when it is to be looked at once more, with what has been learnt."""
    try:
        return store.repeated(work)
    except _Drift as drift:
        log.error("not archived, because they do not hold the jobs they count: chunks %s", sorted(drift.chunks))
        walk.skip |= drift.chunks
    except errors.CheckViolation:
        # A purge may have dropped the partition between the look and the insert.
        walk.misses += 1
        if walk.misses > MOST_MISSES:
            raise
    except errors.QueryCanceled:
        if walk.size <= SMALLEST:
            raise
        walk.size //= 4
    return None


def _move(chunks: list[int]) -> int:
    with store.atomic():
        store.statement_timeout(TIMEOUT_MS)
        held: dict[int, int] = dict(store.rows("archive_lock", chunks=chunks))
        if not held:
            return 0
        moved: dict[int, int] = dict(store.rows("archive_jobs", chunks=list(held)))
        if wrong := {chunk for chunk, size in held.items() if moved.get(chunk, 0) != size}:
            raise _Drift(wrong)
        store.run("archive_chunks", chunks=list(held))
        return sum(moved.values())
