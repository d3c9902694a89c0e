"""The size of the next run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.adaptive import next_size


@pytest.mark.parametrize(
    ("size", "elapsed", "expected"),
    [
        (50, 0.0, 75),
        (50, 2.4, 75),
        (50, 2.5, 50),
        (50, 5.0, 50),
        (50, 10.0, 50),
        (50, 10.1, 33),
        (400, 0.1, 500),
        (500, 0.1, 500),
        (12, 60.0, 10),
        (10, 60.0, 10),
    ],
)
def test_short_runs_grow_by_half_and_long_ones_lose_a_third(size, elapsed, expected):
    assert next_size(size, elapsed) == expected


def test_a_run_of_one_can_grow():
    assert next_size(1, 0.1, smallest=1) == 2


def test_a_size_outside_new_limits_is_brought_inside():
    assert next_size(1000, 5.0, largest=200) == 200
    assert next_size(3, 5.0, smallest=20) == 20


def test_it_settles_where_a_run_takes_about_the_target():
    size = 50
    for _ in range(50):
        size = next_size(size, elapsed=size * 0.1, target=5.0)
    assert 25 <= size <= 100


@pytest.mark.parametrize(
    ("field", "limits"),
    [("smallest", {"smallest": 0}), ("largest", {"smallest": 9, "largest": 8}), ("target", {"target": 0})],
)
def test_limits_that_contradict_each_other_are_refused(field, limits):
    with pytest.raises(ValueError, match=f"^{field}: "):
        next_size(50, 1.0, **limits)


@given(st.integers(0, 10**9), st.floats(), st.integers(1, 1000), st.integers(0, 1000))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_the_next_size_always_lies_within_the_limits(size, elapsed, smallest, more):
    largest = smallest + more
    assert smallest <= next_size(size, elapsed, smallest=smallest, largest=largest) <= largest
