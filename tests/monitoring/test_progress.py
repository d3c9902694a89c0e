"""Bars, rates and forecasts of a batch."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.progress import NARROWEST, Sample, average, lasted, percent, rate, segments, time_left
from queues.selectors.batches import BatchCounts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNTS = st.builds(BatchCounts, *[st.integers(0, 10**9)] * 6)


def sample(seconds_ago: float, ended: int) -> Sample:
    return Sample(NOW - timedelta(seconds=seconds_ago), ended)


@given(COUNTS)
def test_a_bar_is_filled_without_gap_or_overlap(counts: BatchCounts) -> None:
    bar = segments(counts)
    assert sum(part.count for part in bar) == counts.total
    for part, following in itertools.pairwise(bar):
        assert following.start == pytest.approx(part.start + part.width, abs=0.03)
    if bar:
        assert bar[-1].start + bar[-1].width == pytest.approx(1000, abs=0.05)
        assert all(part.width >= NARROWEST - 0.01 for part in bar)


def test_an_empty_batch_has_an_empty_bar() -> None:
    assert segments(BatchCounts()) == []


def test_the_rate_is_that_of_the_last_seconds() -> None:
    assert rate([sample(100, 0), sample(10, 1_000), sample(0, 2_000)], NOW) == pytest.approx(100)


def test_two_looks_at_once_are_no_measurement() -> None:
    assert rate([sample(1, 0), sample(0, 500)], NOW) is None


def test_a_batch_that_stands_still_has_no_rate_and_no_forecast() -> None:
    assert rate([sample(10, 70), sample(0, 70)], NOW) == 0
    assert time_left(30, 0.0) is None


def test_a_retry_of_what_had_ended_is_no_negative_progress() -> None:
    assert rate([sample(10, 100), sample(0, 60)], NOW) == 0


def test_the_average_counts_from_the_start() -> None:
    assert average(600, NOW - timedelta(minutes=1), NOW) == pytest.approx(10)
    assert average(600, None, NOW) is None


def test_what_never_ran_took_no_time_and_has_no_rate() -> None:
    assert average(0, NOW - timedelta(minutes=1), NOW) is None
    # Its end is its start, give or take the microseconds between two looks at the clock.
    assert lasted(0, NOW + timedelta(microseconds=3), NOW) is None
    assert lasted(0, None, NOW) is None
    assert lasted(5, NOW - timedelta(microseconds=300), NOW) == timedelta(microseconds=300)
    assert lasted(0, NOW - timedelta(seconds=2), NOW) == timedelta(seconds=2)


@given(COUNTS)
def test_all_has_ended_only_when_all_has(counts: BatchCounts) -> None:
    assert 0 <= percent(counts) <= 100
    assert (percent(counts) == 100) == (counts.total > 0 and not counts.unended)


def test_what_has_ended_needs_no_time() -> None:
    assert time_left(0, None) == timedelta()
    assert time_left(50, 10.0) == timedelta(seconds=5)
    assert time_left(10**18, 1e-9) is None
