"""What the row of a chunk tells of its jobs, without opening it."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from queues.domain.operating import PENDING
from queues.domain.states import ChunkState, HeldWhy, JobState


class ChunkRow(NamedTuple):
    """A chunk as a walk gives it."""

    key: int
    id: int
    state: str
    held_why: str
    run_at: datetime
    size: int
    succeeded: int
    cancelled: int
    archived_at: datetime | None
    handler: str
    is_retry: bool


COLUMNS = ChunkRow._fields[2:]


def _open_jobs(chunk: ChunkRow) -> int:
    return chunk.size - chunk.succeeded - chunk.cancelled


def _ready(chunk: ChunkRow, now: datetime, due: bool) -> int:
    return _open_jobs(chunk) if chunk.state == ChunkState.READY and (chunk.run_at <= now) is due else 0


def _parked(chunk: ChunkRow, why: HeldWhy) -> int:
    return chunk.size if (chunk.state, chunk.held_why) == (ChunkState.PARKED, why) else 0


# How many jobs of a chunk are in a state, as far as its row tells.
_EXPECTED: dict[str, Callable[[ChunkRow, datetime], int]] = {
    "": lambda chunk, now: chunk.size,
    PENDING: lambda chunk, now: _open_jobs(chunk) if chunk.state in (ChunkState.READY, ChunkState.HELD) else 0,
    JobState.WAITING: lambda chunk, now: _ready(chunk, now, True),
    JobState.SCHEDULED: lambda chunk, now: _ready(chunk, now, False),
    JobState.RETRYING: lambda chunk, now: _ready(chunk, now, False),
    JobState.HELD: lambda chunk, now: _open_jobs(chunk) if chunk.state == ChunkState.HELD else 0,
    JobState.RUNNING: lambda chunk, now: _open_jobs(chunk) if chunk.state == ChunkState.LEASED else 0,
    JobState.SUCCEEDED: lambda chunk, now: chunk.succeeded,
    JobState.DEAD: lambda chunk, now: _parked(chunk, HeldWhy.DEAD),
    JobState.CANCELLED: lambda chunk, now: chunk.size if chunk.state == ChunkState.CANCELLED else chunk.cancelled,
    JobState.TRASHED: lambda chunk, now: _parked(chunk, HeldWhy.TRASHED),
}


def expected(chunk: ChunkRow, state: str, now: datetime) -> int:
    """How many of its jobs are in a state; "" is any. Of an archived chunk, none are left."""
    return 0 if chunk.archived_at is not None else _EXPECTED[state](chunk, now)
