"""When a backlog will be gone, what a small line shows, and what comes first of what needs attention."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.attention import KINDS, Action, Finding, Grade, ranked, rising
from monitoring.forecast import Forecast, forecast, steady
from monitoring.sparks import PLACES, resample

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPEN = Action("Open")


@pytest.mark.parametrize(
    ("waiting", "arriving", "ending", "expected"),
    [
        (0, 0, 0, Forecast("empty")),
        (0, 50, 10, Forecast("empty")),
        (1000, 0, 100, Forecast("clears", timedelta(seconds=10))),
        (1000, 90, 100, Forecast("clears", timedelta(seconds=100))),
        (1000, 100, 100, Forecast("grows")),
        (1000, 250, 100, Forecast("grows")),
        (1000, 0, 0, Forecast("stalled")),
        (1000, 10, 0, Forecast("stalled")),
        # Years are no forecast.
        (10**9, 0, 1, Forecast("grows")),
    ],
)
def test_a_backlog_clears_by_what_ends_less_what_comes(
    waiting: int, arriving: float, ending: float, expected: Forecast
) -> None:
    assert forecast(waiting, arriving, ending) == expected


def test_what_nobody_takes_has_no_forecast() -> None:
    assert forecast(0, 0, 0, stopped=True) == Forecast("paused")
    assert forecast(10, 0, 5, stopped=True).kind == "clears"


@given(st.integers(0, 10**9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_only_a_backlog_that_clears_has_a_time(waiting: int, arriving: float, ending: float) -> None:
    found = forecast(waiting, arriving, ending)
    assert (found.left is not None) == (found.kind == "clears")
    if found.left is not None:
        assert timedelta() <= found.left <= timedelta(days=365)


def test_a_batch_that_was_handed_over_at_once_is_no_steady_flow() -> None:
    assert steady([0, 0, 0, 33_000, 0]) == 0
    assert steady([90, 100, 110, 95, 105]) == 100
    assert steady([]) == 0


def test_a_small_line_holds_each_value_until_the_next() -> None:
    span = timedelta(minutes=10)
    samples = [(NOW - timedelta(minutes=5), 3.0), (NOW - timedelta(minutes=2, seconds=30), 7.0), (NOW, 1.0)]
    values = resample(samples, NOW, span)
    assert len(values) == PLACES
    # Nothing is known of the first half: the line begins at its first value.
    assert set(values[: PLACES // 2]) == {3.0}
    assert values[PLACES * 3 // 5] == 3.0
    assert values[PLACES * 4 // 5] == 7.0
    assert values[-1] == 1.0
    assert resample([], NOW, span) == []


def finding(kind: str, grade: Grade, subject: str = "queue a", *, weight: float = 0, since: float = 0) -> Finding:
    return Finding(kind, grade, subject, "text", OPEN, weight, timedelta(seconds=since))


def test_the_worst_comes_first() -> None:
    notice = finding("dead", Grade.NOTICE, weight=10**6)
    late, small, large = (
        finding("paused", Grade.WARNING, since=9_000),
        finding("rising", Grade.PROBLEM, "queue b", weight=5),
        finding("rising", Grade.PROBLEM, "queue c", weight=500),
    )
    stands = finding("standstill", Grade.PROBLEM, "queue d")
    assert ranked([notice, late, small, large, stands])[0] == [stands, large, small, late, notice]


def test_of_two_findings_about_one_thing_the_worse_one_counts() -> None:
    warning, problem = finding("hand-over", Grade.WARNING), finding("hand-over", Grade.PROBLEM)
    assert ranked([warning, problem])[0] == ranked([problem, warning])[0] == [problem]


def test_many_findings_are_cut_and_counted() -> None:
    many = [finding("dead", Grade.NOTICE, f"queue {number:02d}", weight=number) for number in range(30)]
    shown, more = ranked(many, most=8)
    assert [one.weight for one in shown] == list(range(29, 21, -1))
    assert more == 22


@given(
    st.lists(
        st.builds(
            finding,
            st.sampled_from([*KINDS, "other"]),
            st.sampled_from(Grade),
            st.text(max_size=3),
            weight=st.floats(0, 9),
        )
    ).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found)))
)
def test_the_order_does_not_depend_on_who_was_asked_first(lists: tuple[list[Finding], list[Finding]]) -> None:
    one, other = (ranked(found)[0] for found in lists)
    assert [(each.kind, each.grade, each.subject) for each in one] == [
        (each.kind, each.grade, each.subject) for each in other
    ]
    assert [each.grade for each in one] == sorted((each.grade for each in one), reverse=True)


@pytest.mark.parametrize(
    ("lately", "before", "expected"), [(4, 0, False), (5, 0, True), (5, 2, True), (5, 3, False), (900, 450, False)]
)
def test_deaths_rise_when_they_are_many_and_more_than_before(lately: int, before: int, expected: bool) -> None:
    assert rising(lately, before) is expected
