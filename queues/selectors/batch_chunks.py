"""The chunks of one batch in their order, and where their jobs stand: exact, and bounded."""

from dataclasses import dataclass

from queues import store
from queues.selectors.batch_work import members

# Chunks that are read for one batch and its parts; of a batch with more, nothing is told.
MOST = 20_000
CELLS = 180


@dataclass(frozen=True, slots=True)
class Cell:
    """Some chunks that follow one another. The jobs of all cells together are those of the batch."""

    chunks: int
    succeeded: int
    running: int
    waiting: int
    retrying: int
    dead: int
    cancelled: int
    trashed: int


def strip(batch_id: int, cells: int = CELLS) -> list[Cell] | None:
    """At most so many cells, each of one chunk where there are no more; None when there are too many chunks."""
    ids = members(batch_id)
    most = max(1, MOST // len(ids))
    rows = store.rows("batch_strip", batches=ids, most=most + 1, cells=cells)
    if any(row[9] > most for row in rows):
        return None
    return [Cell(*map(int, row[1:9])) for row in rows if row[1]]
