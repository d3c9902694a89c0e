"""Retry delays: the curves, the bounds, and what the jitter may do."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.backoff import STRATEGIES, Backoff

SECONDS = st.floats(min_value=0, max_value=1e9)
UNIFORM = st.floats(min_value=0, max_value=1, exclude_max=True)
FAILURES = st.one_of(st.integers(1, 50), st.integers(1, 10**400))


ANY_JITTER = st.floats(0, 1)


@st.composite
def policies(draw, jitter=ANY_JITTER):
    base, cap = sorted((draw(SECONDS), draw(SECONDS)))
    return Backoff(draw(st.sampled_from(STRATEGIES)), base, cap, draw(jitter))


@pytest.mark.parametrize(
    ("strategy", "delays"),
    [
        ("fixed", [2, 2, 2, 2, 2, 2]),
        ("linear", [2, 4, 6, 8, 10, 12]),
        ("exponential", [2, 4, 8, 16, 32, 60]),
        ("fibonacci", [2, 2, 4, 6, 10, 16]),
    ],
)
def test_the_curve_of_each_strategy(strategy, delays):
    policy = Backoff(strategy, base=2, cap=60, jitter=0)
    assert [policy.delay(failures, 0.5) for failures in range(1, 7)] == delays


def test_jitter_spreads_evenly_around_the_curve():
    policy = Backoff("fixed", base=100, cap=1000, jitter=0.25)
    assert [policy.delay(1, uniform) for uniform in (0.0, 0.5, 0.75)] == [75.0, 100.0, 112.5]


def test_at_the_cap_retries_stay_spread_and_do_not_pile_up_on_it():
    policy = Backoff("exponential", base=1, cap=60, jitter=0.5)
    delays = {policy.delay(30, step / 10) for step in range(10)}
    assert len(delays) == 10
    assert min(delays) == 30
    assert max(delays) < 60


def test_a_count_below_one_waits_as_long_as_the_first_failure():
    policy = Backoff("linear", base=3, cap=60, jitter=0)
    assert policy.delay(0, 0.5) == policy.delay(-5, 0.5) == 3


@given(policies(), FAILURES, UNIFORM)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_delay_is_a_number_between_zero_and_the_cap(policy, failures, uniform):
    delay = policy.delay(failures, uniform)
    assert math.isfinite(delay)
    assert 0 <= delay <= policy.cap


@given(policies(jitter=st.just(0.0)), FAILURES, FAILURES, UNIFORM)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_without_jitter_more_failures_never_wait_less(policy, one, other, uniform):
    fewer, more = sorted((one, other))
    assert policy.delay(fewer, uniform) <= policy.delay(more, uniform)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("strategy", {"strategy": "quadratic"}),
        ("base", {"base": -1}),
        ("base", {"base": math.nan}),
        ("base", {"base": "1"}),
        ("base", {"base": True}),
        ("cap", {"cap": math.inf}),
        ("cap", {"cap": 10**400}),
        ("cap", {"base": 10, "cap": 9}),
        ("jitter", {"jitter": 1.01}),
        ("jitter", {"jitter": -0.1}),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_the_name_of_its_field(field, change):
    with pytest.raises(ValueError, match=f"^{field}: "):
        Backoff(**({"strategy": "exponential", "base": 1, "cap": 60, "jitter": 0} | change))
