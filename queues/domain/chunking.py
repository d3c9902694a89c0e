"""Cutting jobs into chunks: which jobs share one, and where one ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# A chunk is cut when its payloads reach this: a run of few chunks must fit into memory.
CHUNK_BYTES = 4 * 1024 * 1024
# Jobs that are pulled and sent together at most, and at the beginning, when nobody knows how large they are; and the
# bytes that a block should not pass. Each block costs three statements.
BLOCK = 8_000
FIRST_BLOCK = 2_000
BLOCK_BYTES = 8 * 1024 * 1024
# Jobs that are encoded, or sent, in one go.
PIECE = 1_000


def block_size(chunk_size: int, bytes_: int = 0, jobs: int = 0) -> int:
    """Jobs to the next block: a multiple of the chunk size, so that chunks end with their block.

    `jobs` of `bytes_` payload bytes in all were in the block before it.
    """
    room = min(BLOCK, BLOCK_BYTES * jobs // bytes_) if bytes_ else FIRST_BLOCK
    return chunk_size * max(1, room // chunk_size)


@dataclass(frozen=True, slots=True)
class Cut:
    """Places `start` to `stop` of a block's order, which become one chunk."""

    start: int
    stop: int
    priority: int
    run_at: datetime | None
    bytes: int


def cut(
    sizes: Sequence[int],
    lanes: Sequence[tuple[int, datetime | None]],
    chunk_size: int,
    chunk_bytes: int = CHUNK_BYTES,
) -> list[Cut]:
    """Cut a block, already ordered by lane (priority, due time), into chunks.

    `sizes` are payload bytes. A chunk has one lane, at most `chunk_size` jobs, and ends with the job that
    brings it to `chunk_bytes`. Linear.
    """
    if sizes and sum(sizes) < chunk_bytes and lanes.count(lanes[0]) == len(sizes):
        # Nearly every block: nothing but the number of jobs ends a chunk, and no job needs a look.
        starts = range(0, len(sizes), chunk_size)
        parts = ((start, sizes[start : start + chunk_size]) for start in starts)
        return [Cut(start, start + len(part), *lanes[0], sum(part)) for start, part in parts]
    cuts: list[Cut] = []
    start, total = 0, 0
    for place, size in enumerate(sizes):
        total += size
        last = place + 1 == len(sizes)
        if last or place + 1 - start == chunk_size or total >= chunk_bytes or lanes[place + 1] != lanes[place]:
            cuts.append(Cut(start, place + 1, *lanes[place], total))
            start, total = place + 1, 0
    return cuts
