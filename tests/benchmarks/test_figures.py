"""The arithmetic of the benchmark's rows."""

import pytest

from queues.benchmarks.figures import Row, kept


def row(**values: object) -> Row:
    return Row(**{"scenario": "drain", "text": "", "unit": "/s", "values": [1.0], "bound": 1.0, **values})  # type: ignore[arg-type]


def test_a_rate_is_judged_by_its_median() -> None:
    assert row(values=[1.0, 9.0, 5.0], bound=5.0).passed
    assert not row(values=[1.0, 9.0, 4.9], bound=5.0).passed


def test_a_time_must_stay_below_its_bound() -> None:
    assert row(values=[1.0, 9.0, 5.0], bound=5.0, floor=False).passed
    assert not row(values=[5.1], bound=5.0, floor=False).passed


def test_what_is_compared_is_judged_by_the_ratios_of_the_same_repetitions() -> None:
    compared = row(values=[10.0, 1.0, 6.0], others=[10.0, 2.0, 10.0], bound=0.6)
    assert compared.ratios == [1.0, 0.5, 0.6]
    assert compared.passed


def test_a_wrong_count_never_passes() -> None:
    assert not row(correct=False).passed


def test_a_row_survives_json() -> None:
    first = row(others=[2.0], against="bare", floor=False)
    assert Row.from_dict(first.as_dict()) == first


def test_a_steady_rate_is_kept() -> None:
    assert kept([(moment / 10, 100) for moment in range(1, 11)]) == pytest.approx(1.0)


def test_a_rate_that_halves_is_half_kept() -> None:
    ends = [(1.0, 100), (2.0, 100), (3.5, 100), (5.0, 100), (7.0, 100)]
    assert kept(ends) == pytest.approx(0.5)
