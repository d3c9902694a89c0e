"""What must hold of every chunk and batch at every commit. Pure: facts go in, words for what is wrong come out."""

from collections.abc import Iterator
from dataclasses import dataclass

from queues.domain.states import UNFINISHED, BatchState, ChunkState, HeldWhy, RunState


@dataclass(frozen=True, slots=True)
class ChunkFacts:
    """A chunk row, and what its jobs, its dead letters and the archive say. None where it was not asked."""

    id: int
    batch_id: int | None
    state: str
    held_why: str
    size: int
    succeeded: int
    cancelled: int
    born: int
    bitmap_bytes: int | None
    archived: bool
    jobs: int
    bits: int
    own_cancelled: int
    dead_letters: int | None
    archived_jobs: int | None
    within_retention: bool | None
    run_state: str | None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """A batch row, and the sums over its chunks and parts."""

    id: int
    state: str
    total: int
    is_parent: bool
    succeeded: int | None
    dead: int | None
    cancelled: int | None
    chunk_jobs: int
    chunk_succeeded: int
    unfinished_chunks: int
    part_jobs: int
    first_part: int | None
    unfinished_parts: int


def chunk_flaws(chunk: ChunkFacts) -> list[str]:
    """What is wrong with a chunk; nothing if it is sound."""
    return [*_membership(chunk), *_counts(chunk), *_parking(chunk), *_lease(chunk)]


def _membership(chunk: ChunkFacts) -> Iterator[str]:
    if not chunk.archived:
        if chunk.jobs != chunk.size:
            yield f"size is {chunk.size}, but {chunk.jobs} jobs point to it"
        return
    if chunk.jobs:
        yield f"it is archived, but {chunk.jobs} jobs point to it"
    kept = chunk.archived_jobs or 0
    if kept > chunk.size or (chunk.within_retention and kept < chunk.size):
        yield f"size is {chunk.size}, but the archive has {kept} of its jobs"


def _counts(chunk: ChunkFacts) -> Iterator[str]:
    if chunk.bitmap_bytes is not None and chunk.bitmap_bytes != (chunk.born + 7) // 8:
        yield f"its bitmap has {chunk.bitmap_bytes} bytes for {chunk.born} jobs"
    ended = chunk.succeeded + chunk.cancelled
    if chunk.state in (ChunkState.DONE, ChunkState.CANCELLED) and ended != chunk.size:
        yield f"it has ended, but {chunk.succeeded} succeeded + {chunk.cancelled} cancelled is not {chunk.size}"
    if chunk.archived:
        return
    if chunk.state != ChunkState.DONE and chunk.bits != chunk.succeeded:
        yield f"succeeded is {chunk.succeeded}, but {chunk.bits} bits are set among its jobs"
    if chunk.state != ChunkState.CANCELLED and chunk.own_cancelled != chunk.cancelled:
        yield f"cancelled is {chunk.cancelled}, but {chunk.own_cancelled} of its jobs are"


def _parking(chunk: ChunkFacts) -> Iterator[str]:
    if chunk.state != ChunkState.PARKED:
        return
    if not chunk.size:
        yield "it is parked, but holds no job"
    expected = chunk.size if chunk.held_why == HeldWhy.DEAD else 0
    if chunk.dead_letters != expected:
        yield f"{expected} dead letters expected, {chunk.dead_letters} found"


def _lease(chunk: ChunkFacts) -> Iterator[str]:
    if chunk.state == ChunkState.LEASED and chunk.run_state != RunState.RUNNING:
        yield f"it is leased by a run that is {chunk.run_state or 'gone'}"
    if chunk.archived and chunk.state in (*UNFINISHED, ChunkState.PARKED):
        yield f"it is archived, but {chunk.state}"


def batch_flaws(batch: BatchFacts) -> list[str]:
    """What is wrong with a batch; nothing if it is sound."""
    return [*_sum(batch), *_end(batch)]


def _sum(batch: BatchFacts) -> Iterator[str]:
    if not batch.is_parent:
        if batch.chunk_jobs != batch.total:
            yield f"total is {batch.total}, but its chunks hold {batch.chunk_jobs}"
    # A purge takes the parts in order, the parent last.
    elif batch.part_jobs != batch.total and (batch.first_part == 1 or batch.state == BatchState.RUNNING):
        yield f"total is {batch.total}, but its parts have {batch.part_jobs}"


def _end(batch: BatchFacts) -> Iterator[str]:
    if batch.state == BatchState.RUNNING:
        if batch.succeeded is not None:
            yield "it is running, but its counters are frozen"
        return
    if batch.unfinished_chunks or batch.unfinished_parts:
        yield (
            f"it is {batch.state}, but {batch.unfinished_chunks} chunks "
            f"and {batch.unfinished_parts} parts are unfinished"
        )
    if batch.succeeded is None or batch.dead is None or batch.cancelled is None:
        yield f"it is {batch.state}, but its counters are not frozen"
        return
    if batch.succeeded + batch.dead + batch.cancelled > batch.total:
        yield f"its frozen counters are more than its total of {batch.total}"
    if not batch.is_parent and batch.succeeded != batch.chunk_succeeded:
        yield f"succeeded is frozen at {batch.succeeded}, but its chunks say {batch.chunk_succeeded}"
