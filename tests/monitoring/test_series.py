"""Work of runs becomes buckets of a chart without being lost or counted twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.series import spread

NOW = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
CURRENT = int(NOW.timestamp() // 10)


@dataclass(frozen=True)
class Group:
    first: int
    last: int
    succeeded: int = 0
    retried: int = 0
    dead: int = 0


def test_buckets_have_no_gaps_and_end_with_the_current_one() -> None:
    series = spread([], NOW, 10, 90)
    assert len(series.points) == 90
    assert series.points[-1].start == datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    assert {later.start - earlier.start for earlier, later in zip(series.points, series.points[1:], strict=False)} == {
        timedelta(seconds=10)
    }


def test_a_short_run_counts_where_it_ended() -> None:
    series = spread([Group(CURRENT - 3, CURRENT - 3, succeeded=50)], NOW, 10, 90)
    assert series.points[-4].succeeded == 50
    assert series.succeeded == 50


def test_a_long_run_counts_in_every_bucket_of_its_life() -> None:
    series = spread([Group(CURRENT - 5, CURRENT, succeeded=600)], NOW, 10, 90)
    assert [point.succeeded for point in series.points[-6:]] == [100] * 6


def test_what_lies_before_the_chart_is_left_out() -> None:
    series = spread([Group(CURRENT - 99, CURRENT - 80, succeeded=200)], NOW, 10, 90)
    assert series.succeeded == pytest.approx(100)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 1_000)), max_size=30))
def test_nothing_is_lost_or_doubled(runs: list[tuple[int, int, int]]) -> None:
    groups = [Group(CURRENT - max(a, b), CURRENT - min(a, b), succeeded=n, dead=n) for a, b, n in runs]
    series = spread(groups, NOW, 10, 90)
    assert series.succeeded == pytest.approx(sum(n for _, _, n in runs))
    assert series.coarser(6).dead == pytest.approx(sum(n for _, _, n in runs))


def test_the_current_bucket_is_divided_by_what_has_passed_of_it() -> None:
    point = spread([Group(CURRENT, CURRENT, succeeded=70)], NOW, 10, 90).points[-1]
    assert point.seconds == pytest.approx(7)
    assert point.rate(point.succeeded) == pytest.approx(10)


def test_nothing_ended_has_no_success_rate() -> None:
    assert spread([Group(CURRENT, CURRENT, retried=5)], NOW, 10, 90).success_rate is None


def test_retries_do_not_count_as_ends() -> None:
    assert spread([Group(CURRENT, CURRENT, succeeded=3, retried=9, dead=1)], NOW, 10, 90).success_rate == 0.75


def test_a_clock_that_was_set_back_divides_by_nothing() -> None:
    assert spread([Group(CURRENT, CURRENT - 2, succeeded=5)], NOW, 10, 90).succeeded == 0
