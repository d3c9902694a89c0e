"""Nearest-rank percentiles."""

from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.percentiles import summary

MILLIS = st.lists(st.floats(0, 1e9), min_size=1, max_size=300)


def test_the_ranks_of_twenty_values():
    assert summary(list(range(20, 0, -1))) == (10, 19, 20)


def test_the_ranks_of_a_hundred_values():
    assert summary(range(1, 101)) == (50, 95, 100)


def test_one_value_is_all_three():
    assert summary([7.5]) == (7.5, 7.5, 7.5)


def test_nothing_measured_is_zero():
    assert summary([]) == (0.0, 0.0, 0.0)


@given(MILLIS)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_each_is_a_measured_value_with_enough_of_the_others_at_or_below_it(millis):
    found = summary(millis)
    assert found.max == max(millis)
    for percent, value in ((50, found.p50), (95, found.p95)):
        assert value in millis
        assert sum(other <= value for other in millis) * 100 >= percent * len(millis)
        assert sum(other < value for other in millis) * 100 < percent * len(millis)
