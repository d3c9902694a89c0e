"""Dead letters that nobody came for: ended and moved to the archive, in one transaction.

A letter, its unique key and its place among the hot jobs go together; its batch still counts it as dead. Killed at any
point, the letter is where it was. Whoever retries or deletes it at the same time holds its chunk, which is then left.
"""

from collections.abc import Callable
from datetime import datetime

from queues import store


def next_page(
    *, queue: int, grace: float, after: tuple[datetime, int], jobs: int
) -> tuple[tuple[datetime, int], dict[int, tuple[int, int]]] | None:
    """The key of the last letter looked at, and the chunks to end with the range of their jobs; None at the end."""
    found = store.row("archive_dead_pick", queue=queue, grace=grace, after_at=after[0], after=after[1], jobs=jobs)
    if found is None:
        return None
    at, last, chunks, lows, highs = found
    return (at, last), dict(zip(chunks, zip(lows, highs, strict=True), strict=True))


def end_and_move(*, chunks: list[int], move: Callable[[list[int]], int]) -> int:
    """End those of the chunks that nobody holds, and `move` them within the same transaction; how many jobs."""
    with store.atomic():
        held = [chunk for (chunk,) in store.rows("archive_dead_lock", chunks=chunks)]
        ended = [chunk for (chunk,) in store.rows("archive_dead_end", chunks=held)] if held else []
        return move(ended) if ended else 0
