"""One batch over time, as drawings: what has ended and when the rest will, and its runs. Pure: numbers in, SVG out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.charts import HEIGHT, WIDTH
from queues.selectors.batch_work import BatchRun

# Points of a chart, and places of a time line of runs that are too many to be drawn one by one.
POINTS = 120
DRAWN = 300
LANES = 24
LANE = 10
# Rates are compared over the last part of what has been, of these sizes; of less than so many seconds there is none.
PARTS = (0.1, 0.25, 0.5, 1.0)
SHORTEST = 5.0


@dataclass(frozen=True, slots=True)
class BurnUp:
    """Jobs ended since the start. `forecast` is a line of its own, which begins at `now`; None for an ended batch.
    `cone` lies around it: between the fastest and the slowest rate that the batch has kept lately."""

    area: str
    line: str
    forecast: str
    cone: str
    now: float | None
    start: datetime
    end: datetime
    total: int
    middle: float
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Box:
    """One run on the time line."""

    x: float
    y: int
    width: float
    kind: str
    run: BatchRun


@dataclass(frozen=True, slots=True)
class Layer:
    """All bars of one kind."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class TimeLine:
    """Runs from left to right: as boxes in lanes, or, when there are too many, as bars of how many were at work."""

    boxes: list[Box]
    layers: list[Layer]
    start: datetime
    end: datetime
    top: int
    height: int
    width: int = WIDTH


def step_of(start: datetime, end: datetime) -> int:
    """The seconds of one point."""
    return max(1, math.ceil((end - start).total_seconds() / POINTS))


def burn_up(
    ended: Sequence[tuple[datetime, int]],
    *,
    start: datetime,
    now: datetime,
    finished: bool,
    done: int,
    total: int,
    left: timedelta | None,
    step: int,
    paces: tuple[float, float] | None = None,
) -> BurnUp:
    """What ended when, up to the exact number of now; and where it leads at the present rate, and at its `paces`."""
    elapsed = max((now - start).total_seconds(), 1.0)
    # The forecast takes at most as much room as what has been.
    ahead = 0.0 if finished or left is None else min(left.total_seconds(), elapsed)
    scale = WIDTH / (elapsed + ahead)
    points, sum_ = [(0.0, 0)], 0
    for moment, jobs in ended:
        sum_ += jobs
        at = min(max((moment - start).total_seconds() + step, 0.0), elapsed)
        points.append((at, min(sum_, done)))
    points.append((elapsed, done))
    line = "M" + "L".join(f"{at * scale:.1f} {_y(jobs, total):.1f}" for at, jobs in points)
    x = elapsed * scale
    forecast = cone = ""
    if ahead and left is not None:
        reached = done + (total - done) * ahead / left.total_seconds()
        forecast = f"M{x:.1f} {_y(done, total):.1f}L{WIDTH} {_y(reached, total):.1f}"
        cone = _cone(paces, x, scale, done, total) if paces else ""
    return BurnUp(
        f"{line}L{x:.1f} {HEIGHT}L0 {HEIGHT}z",
        line,
        forecast,
        cone,
        None if finished else round(x, 1),
        start,
        start + timedelta(seconds=elapsed + ahead),
        total,
        total / 2,
    )


def paces(
    ended: Sequence[tuple[datetime, int]], *, start: datetime, now: datetime, step: int, present: float | None
) -> tuple[float, float] | None:
    """The slowest and the fastest of the present rate and those over the last parts of what has been, in jobs a second;
    None when they are too few to tell, or when it stood still."""
    elapsed = (now - start).total_seconds()
    rates = [present] if present else []
    for part in PARTS:
        span = elapsed * part
        if span >= max(SHORTEST, 2 * step):
            since = now - timedelta(seconds=span)
            rates.append(sum(jobs for moment, jobs in ended if moment >= since) / span)
    return (min(rates), max(rates)) if len(rates) > 1 and min(rates) > 0 else None


def _cone(paces: tuple[float, float], x: float, scale: float, done: int, total: int) -> str:
    slow, fast = paces
    ahead = (WIDTH - x) / scale
    here, end = f"M{x:.1f} {_y(done, total):.1f}", f"L{WIDTH} {_y(done + slow * ahead, total):.1f}z"
    full = x + (total - done) / fast * scale
    if full >= WIDTH:
        return f"{here}L{WIDTH} {_y(done + fast * ahead, total):.1f}{end}"
    return f"{here}L{full:.1f} 0L{WIDTH} 0{end}"


def time_line(runs: Sequence[BatchRun], now: datetime) -> TimeLine | None:
    """The runs of a batch; None when there are none."""
    if not runs:
        return None
    start = min(run.started_at for run in runs)
    end = max([run.finished_at or now for run in runs] + [start + timedelta(milliseconds=1)])
    scale = WIDTH / (end - start).total_seconds()
    if len(runs) > DRAWN:
        layers, top = _bars(runs, start, end, now)
        return TimeLine([], layers, start, end, top, HEIGHT)
    boxes, free = [], list[datetime]()
    for run in sorted(runs, key=lambda run: (run.started_at, run.id)):
        last = run.finished_at or now
        lane = next((place for place, until in enumerate(free) if until <= run.started_at), len(free))
        lane = min(lane, LANES - 1)
        if lane == len(free):
            free.append(last)
        free[lane] = max(free[lane], last)
        x = (run.started_at - start).total_seconds() * scale
        width = max(1.5, (last - run.started_at).total_seconds() * scale)
        boxes.append(Box(round(min(x, WIDTH - 1.5), 2), lane * LANE, round(width, 2), kind(run), run))
    return TimeLine(boxes, [], start, end, len(free), len(free) * LANE)


def kind(run: BatchRun) -> str:
    """How a run is drawn."""
    if run.state == "running":
        return "running"
    if run.state == "lost":
        return "dead"
    return "retried" if run.failed else "succeeded" if run.state == "done" else "cancelled"


def _bars(runs: Sequence[BatchRun], start: datetime, end: datetime, now: datetime) -> tuple[list[Layer], int]:
    """How many runs of each kind were at work in each of `POINTS` stretches."""
    span = (end - start).total_seconds() / POINTS
    kinds = ("succeeded", "retried", "dead", "cancelled", "running")
    counts = {name: [0] * POINTS for name in kinds}
    for run in runs:
        first = int((run.started_at - start).total_seconds() / span)
        last = int(((run.finished_at or now) - start).total_seconds() / span)
        for place in range(min(first, POINTS - 1), min(last, POINTS - 1) + 1):
            counts[kind(run)][place] += 1
    top = max(sum(counts[name][place] for name in kinds) for place in range(POINTS))
    width, layers, base = WIDTH / POINTS, [], [0] * POINTS
    for name in kinds:
        parts = []
        for place, count in enumerate(counts[name]):
            if count:
                y, high, wide = HEIGHT - (base[place] + count) * HEIGHT / top, count * HEIGHT / top, width * 0.86
                parts.append(f"M{place * width:.1f} {y:.1f}h{wide:.2f}v{high:.1f}h{-wide:.2f}z")
                base[place] += count
        layers.append(Layer(name, "".join(parts)))
    return [layer for layer in layers if layer.path], top


def _y(jobs: float, total: int) -> float:
    return HEIGHT - HEIGHT * min(jobs / total, 1.0) if total else float(HEIGHT)
