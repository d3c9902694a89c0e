"""The lines of the table that people read."""

from queues.benchmarks.figures import Row, Spread

COLUMNS = ("what", "measured", "compared with", "its measure", "ratio", "bound", "")


def cells(row: Row) -> list[str]:
    """One line: medians, with what they lie between, and whether the bound is kept."""
    other = _spread(Spread.of(row.others), row.unit) if row.others else ""
    ratio = _spread(Spread.of(row.ratios), "") if row.others else ""
    bound = ""
    if row.bound is not None:
        bound = f"{'≥' if row.floor else '≤'} {_number(row.bound)}{'' if row.others else _unit(row.unit)}"
    verdict = ("ok" if bound else "") if row.passed else "MISSED" if row.correct else "WRONG COUNT"
    return [row.text, _spread(Spread.of(row.values), row.unit), row.against, other, ratio, bound, verdict]


def _spread(spread: Spread, unit: str) -> str:
    if spread.low == spread.high:
        return f"{_number(spread.median)}{_unit(unit)}"
    return f"{_number(spread.median)}{_unit(unit)} [{_number(spread.low)}..{_number(spread.high)}]"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
