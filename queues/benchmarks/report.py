"""The table of a benchmark."""

from collections.abc import Sequence

from rich.table import Table

from queues.benchmarks.figures import Row, Spread


def table(rows: Sequence[Row], repetitions: int) -> Table:
    """Medians with [min..max], and whether each bound is kept."""
    made = Table(title=f"Medians of {repetitions} repetitions, [min..max]", title_justify="left")
    for heading, side in (("what", "left"), ("measured", "right"), ("against", "right"), ("ratio", "right")):
        made.add_column(heading, justify=side)  # type: ignore[arg-type]
    made.add_column("bound", justify="right")
    made.add_column("")
    for row in rows:
        made.add_row(*cells(row), style="" if row.passed else "bold red")
    return made


def cells(row: Row) -> list[str]:
    """One line."""
    other = f"{row.against}\n{_spread(Spread.of(row.others), row.unit)}" if row.others else ""
    ratio = _spread(Spread.of(row.ratios), "") if row.others else ""
    bound = f"{'≥' if row.floor else '≤'} {_number(row.bound)}{'' if row.others else _unit(row.unit)}"
    verdict = "ok" if row.passed else "WRONG COUNT" if not row.correct else "missed"
    return [row.text, _spread(Spread.of(row.values), row.unit), other, ratio, bound, verdict]


def _spread(spread: Spread, unit: str) -> str:
    return f"{_number(spread.median)}{_unit(unit)} [{_number(spread.low)}..{_number(spread.high)}]"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
