"""Lines over time or over runs. Pure: numbers in, numbers for a template's SVG out."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.charts import HEIGHT, WIDTH, nice_ceiling

# With so few values each is drawn as a dot as well: a line between two of them says little by itself.
FEW = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One line; gaps where there is no value. `dots` are values that stand alone, and all where there are few: paths
    of no length, which round ends make visible."""

    kind: str
    path: str
    dots: str = ""


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
    return Lines([_line(kind, line, scale, centred) for kind, line in values.items()], scale)


def level(kind: str, value: float, top: float) -> Line:
    """A line across, at one height."""
    y = _y(value, top)
    return Line(kind, f"M0 {y:.1f}H{WIDTH}")


def _line(kind: str, values: Sequence[float | None], top: float, centred: bool) -> Line:
    step = WIDTH / (len(values) if centred else max(1, len(values) - 1)) if values else 0.0
    few = sum(value is not None for value in values) <= FEW
    parts, dots, down = [], [], False
    for place, value in enumerate(values):
        if value is None:
            down = False
            continue
        at = f"{place * step + (step / 2 if centred else 0):.1f} {_y(value, top):.1f}"
        alone = not down and (place + 1 == len(values) or values[place + 1] is None)
        if not alone:
            parts.append(f"{'L' if down else 'M'}{at}")
        if alone or few:
            dots.append(f"M{at}h0")
        down = True
    return Line(kind, "".join(parts), "".join(dots))


def _y(value: float, top: float) -> float:
    return max(0.0, HEIGHT - min(value / top, 1.0) * HEIGHT)
