"""Lines over time or over runs. Pure: numbers in, numbers for a template's SVG out."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.charts import HEIGHT, WIDTH, nice_ceiling


@dataclass(frozen=True, slots=True)
class Line:
    """One line; gaps where there is no value."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines on one scale, from 0 to `top`."""

    lines: list[Line]
    top: float
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> float:
        """The figure at half the height."""
        return self.top / 2


def lines(values: dict[str, Sequence[float | None]], *, centred: bool = False, top: float | None = None) -> Lines:
    """Lines of equally many values; `centred` puts each in the middle of its place, as beside bars."""
    most = max((value for line in values.values() for value in line if value is not None), default=0.0)
    scale = nice_ceiling(most) if top is None else top
    return Lines([Line(kind, _path(line, scale, centred)) for kind, line in values.items()], scale)


def level(kind: str, value: float, top: float) -> Line:
    """A line across, at one height."""
    y = _y(value, top)
    return Line(kind, f"M0 {y:.1f}H{WIDTH}")


def _path(values: Sequence[float | None], top: float, centred: bool) -> str:
    step = WIDTH / (len(values) if centred else max(1, len(values) - 1)) if values else 0.0
    parts, down = [], False
    for place, value in enumerate(values):
        if value is None:
            down = False
            continue
        x = place * step + (step / 2 if centred else 0)
        parts.append(f"{'L' if down else 'M'}{x:.1f} {_y(value, top):.1f}")
        if not down and (place + 1 == len(values) or values[place + 1] is None):
            # A single value is a point, which a line of no length would not show.
            parts.append("h1.5")
        down = True
    return "".join(parts)


def _y(value: float, top: float) -> float:
    return max(0.0, HEIGHT - min(value / top, 1.0) * HEIGHT)
