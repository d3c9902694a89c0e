"""The ids of a batch's jobs in pages, for reads that go from job to job and hold one page at a time."""

from collections.abc import Iterator

from queues.selectors.birth import birth_ranges, leaves

PAGE = 2_000


def id_pages(batch_id: int, size: int = PAGE) -> Iterator[tuple[list[int], list[int]]]:
    """Pages of at most so many ids, of the batch or of its parts, in order: where each range begins, and where it ends.

    Where jobs with unique keys were left out, a range has gaps.
    """
    lows: list[int] = []
    highs: list[int] = []
    room = size
    for batch, _last in leaves(batch_id):
        for low, high in birth_ranges(batch):
            start = low
            while start < high:
                stop = min(high, start + room)
                lows.append(start)
                highs.append(stop)
                room -= stop - start
                start = stop
                if not room:
                    yield lows, highs
                    lows, highs, room = [], [], size
    if lows:
        yield lows, highs
