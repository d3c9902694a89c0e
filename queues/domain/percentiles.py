"""Percentiles of the handler times of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Milliseconds; all zero where nothing was measured (the count beside it says so)."""

    p50: float
    p95: float
    max: float


def summary(millis: Sequence[float]) -> Summary:
    """Median, 95th percentile and maximum of `millis`, by nearest rank.

    Nearest rank (NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.6.2; also called the inverse of the
    empirical distribution function): the p-th percentile of n sorted values is the value at rank
    ceil(p / 100 * n), counted from 1. It is always a time that was really measured, needs no interpolation,
    and for one value is that value. The rank is computed in whole numbers: 0.95 * 20 is not 19 in floats.

    No values give zeros: a run whose jobs were all gone has taken no time. Cost: one sort, about 0.1 µs for
    each value.
    """
    if not millis:
        return Summary(0.0, 0.0, 0.0)
    ordered = sorted(millis)
    return Summary(_rank(ordered, 50), _rank(ordered, 95), ordered[-1])


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[-(-percent * len(ordered) // 100) - 1]
