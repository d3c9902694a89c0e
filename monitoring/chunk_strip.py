"""The chunks of a batch as a strip of cells: each shows by colour and pattern where its jobs stand. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.charts import WIDTH
from queues.selectors.batch_chunks import Cell

HEIGHT = 28
WIDEST, NARROWEST = 26.0, 1.5
# From the ground up; the last one that a cell has is where it leads.
KINDS = ("succeeded", "cancelled", "trashed", "waiting", "running", "retrying", "dead")
# What is there is seen, however little of it.
THINNEST = 3.0


@dataclass(frozen=True, slots=True)
class Layer:
    """All that is drawn of one kind."""

    kind: str
    path: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Place:
    """A cell to point at: what it holds in words, and the state of jobs to look at."""

    x: float
    width: float
    words: str
    leads_to: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The drawing. `each` is how many chunks a cell stands for at most; `full` takes all the width there is."""

    layers: list[Layer]
    places: list[Place]
    chunks: int
    each: int
    width: float
    full: bool
    height: int = HEIGHT


def draw(cells: Sequence[Cell]) -> Strip | None:
    """The strip; None where there is nothing."""
    if not cells:
        return None
    room = min(float(WIDTH), WIDEST * len(cells))
    paths: dict[str, list[str]] = {kind: [] for kind in KINDS}
    places, first, x = [], 1, 0.0
    for cell, step in zip(cells, _widths(cells, room), strict=True):
        wide = step - min(1.0, step * 0.2)
        for kind, y, high in _stack(cell):
            paths[kind].append(f"M{x:.1f} {y:.1f}h{wide:.2f}v{high:.1f}h{-wide:.2f}z")
        places.append(Place(round(x, 2), round(step, 2), _words(cell, first), _worst(cell)))
        first, x = first + cell.chunks, x + step
    layers = [Layer(kind, "".join(paths[kind]), sum(getattr(cell, kind) for cell in cells)) for kind in KINDS]
    return Strip(
        [layer for layer in layers if layer.path],
        places,
        sum(cell.chunks for cell in cells),
        max(cell.chunks for cell in cells),
        round(room, 1),
        room == WIDTH,
    )


def _widths(cells: Sequence[Cell], room: float) -> list[float]:
    """How wide each cell is: by its jobs, so that many small chunks do not look like much, and wide enough to see."""
    jobs = [sum(getattr(cell, kind) for kind in KINDS) for cell in cells]
    wanted = [max(NARROWEST, room * held / max(1, sum(jobs))) for held in jobs]
    shrink = room / sum(wanted)
    return [wide * shrink for wide in wanted]


def _stack(cell: Cell) -> list[tuple[str, float, float]]:
    """The parts of a cell from the ground up: kind, top and height."""
    found = [(kind, getattr(cell, kind)) for kind in KINDS if getattr(cell, kind)]
    whole = sum(jobs for _kind, jobs in found)
    heights = [max(THINNEST, HEIGHT * jobs / whole) for _kind, jobs in found]
    shrink = HEIGHT / sum(heights) if heights else 1.0
    parts, ground = [], float(HEIGHT)
    for (kind, _jobs), high in zip(found, heights, strict=True):
        ground -= high * shrink
        parts.append((kind, ground, high * shrink))
    return parts


def _worst(cell: Cell) -> str:
    return next((kind for kind in reversed(KINDS) if getattr(cell, kind)), "")


def _words(cell: Cell, first: int) -> str:
    which = f"Chunk {first:,}" if cell.chunks == 1 else f"Chunks {first:,} to {first + cell.chunks - 1:,}"
    held = ", ".join(f"{getattr(cell, kind):,} {kind}" for kind in KINDS if getattr(cell, kind))
    return f"{which}: {held}"
