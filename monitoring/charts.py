"""Series to drawings. Pure: what comes out are numbers for a template, which writes the SVG.

Lengths are in the drawing's own units and stretched to the page's width, since a page without style
attributes cannot say percentages; labels are text beside the drawing, so that they are not stretched with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.series import Point, Series

WIDTH = 900
HEIGHT = 160
# A bucket that has only just begun says nothing yet.
YOUNGEST = 2.0
# Leading digits of a scale: their halves are short as well.
ROUND = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket: where it stands, and its figures for whoever points at it."""

    x: float
    width: float
    point: Point
    succeeded: float
    retried: float
    dead: float


@dataclass(frozen=True, slots=True)
class Layer:
    """All bars of one kind as one path."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class StackedBars:
    """A chart of stacked bars with three lines to read it by."""

    layers: list[Layer]
    bars: list[Bar]
    top: float
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> float:
        """The figure at half the height."""
        return self.top / 2


def stacked_bars(series: Series, least: float = 0.0) -> StackedBars:
    """Tries ended in a second: succeeded at the bottom, then retried, then dead. The scale reaches `least`."""
    points = [point for point in series.points if point.seconds >= YOUNGEST]
    top = nice_ceiling(max(least, *(point.rate(point.total) for point in points), 0.0))
    step = WIDTH / max(1, len(series.points))
    gap = step * 0.18
    bars = [
        Bar(
            round(place * step, 2),
            round(step, 2),
            point,
            *(point.rate(count) for count in (point.succeeded, point.retried, point.dead)),
        )
        for place, point in enumerate(points)
    ]
    kinds = ("succeeded", "retried", "dead")
    paths: dict[str, list[str]] = {kind: [] for kind in kinds}
    for bar in bars:
        base = 0.0
        for kind in kinds:
            value = getattr(bar, kind)
            if value > 0:
                paths[kind].append(_box(bar.x + gap / 2, step - gap, base / top, value / top))
            base += value
    return StackedBars([Layer(kind, "".join(paths[kind])) for kind in kinds], bars, top)


def sparkline(values: Sequence[float], width: int = 100, height: int = 24) -> str:
    """The points of a polyline; flat when nothing happened."""
    top = max(values, default=0.0) or 1.0
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{place * step:.1f},{height - 1 - value / top * (height - 2):.1f}" for place, value in enumerate(values)
    )


def nice_ceiling(value: float) -> float:
    """The next round number whose half is round as well; at least 2."""
    if value <= 2:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in ROUND if step * power >= value * (1 - 1e-9))


def _box(x: float, width: float, base: float, share: float) -> str:
    # At least a visible line, or a few dead among many thousands would not show.
    height = max(1.5, share * HEIGHT)
    y = max(0.0, HEIGHT - base * HEIGHT - height)
    return f"M{x:.2f} {y:.2f}h{width:.2f}v{height:.2f}h{-width:.2f}z"
