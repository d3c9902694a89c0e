"""Measured rows: values of each repetition, what they are compared with, and the bound that they must keep."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and what it lies between."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. With `others`, measured in the same repetitions, the ratio is what is judged.

    `bound` is a floor where `floor` is true, else a ceiling; None where nothing is promised. `correct` says whether all
    that had to run did, once.
    """

    scenario: str
    text: str
    unit: str
    values: list[float]
    bound: float | None
    floor: bool = True
    against: str = ""
    others: list[float] = field(default_factory=list)
    correct: bool = True

    @property
    def ratios(self) -> list[float]:
        """Value by value against the others of the same repetition."""
        return [value / other for value, other in zip(self.values, self.others, strict=True)] if self.others else []

    @property
    def judged(self) -> Spread:
        """What the bound is for."""
        return Spread.of(self.ratios or self.values)

    @property
    def passed(self) -> bool:
        """Whether the median keeps the bound."""
        if self.bound is None:
            return self.correct
        found = self.judged.median
        return self.correct and (found >= self.bound if self.floor else found <= self.bound)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self), "ratios": self.ratios, "median": self.judged.median, "passed": self.passed}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Row":
        """The row that `as_dict` has written."""
        return cls(**{name: value for name, value in values.items() if name in cls.__slots__})


def kept(durations: Sequence[tuple[float, int]], share: float = 0.2) -> float:
    """The rate over the last `share` of the jobs, divided by that over the first; one where nothing decays.

    `durations` are the moments at which runs ended, in order, after the start at zero, with their jobs.
    """
    total = sum(jobs for _moment, jobs in durations)
    first = _moment_of(durations, total * share)
    last = durations[-1][0] - _moment_of(durations, total * (1 - share))
    return first / last if last else 1.0


def _moment_of(durations: Sequence[tuple[float, int]], wanted: float) -> float:
    done = 0
    for moment, jobs in durations:
        done += jobs
        if done >= wanted:
            return moment
    return durations[-1][0]
