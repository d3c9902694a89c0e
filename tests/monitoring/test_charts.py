"""Drawings: scales that can be read, bars that are there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.charts import HEIGHT, nice_ceiling, sparkline, stacked_bars
from monitoring.series import Point, Series

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 2), (1.9, 2), (2.1, 2.4), (7, 8), (12, 12), (999, 1000), (1001, 1200), (251_000, 300_000)]
)
def test_a_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice_ceiling(value) == pytest.approx(top)


@given(st.floats(0, 1e12))
def test_a_scale_holds_its_values_and_wastes_little(value: float) -> None:
    top = nice_ceiling(value)
    assert value <= top * (1 + 1e-6)
    assert top <= max(2.0, value * 1.51)


def test_every_kind_has_its_own_path_and_a_few_dead_are_seen() -> None:
    chart = stacked_bars(Series([Point(START, 10, succeeded=1_000_000, dead=1)], 10))
    paths = {layer.kind: layer.path for layer in chart.layers}
    assert paths["succeeded"]
    assert paths["dead"]
    assert not paths["retried"]


def test_a_bar_stays_inside_the_drawing() -> None:
    chart = stacked_bars(Series([Point(START, 10, 30, 20, 10)], 10))
    tops = [float(layer.path.split(" ")[1].split("h")[0]) for layer in chart.layers]
    assert all(0 <= top <= HEIGHT for top in tops)


def test_a_bucket_that_has_just_begun_is_not_drawn() -> None:
    assert stacked_bars(Series([Point(START, 0.5, succeeded=900)], 10)).bars == []


def test_no_points_draw_nothing() -> None:
    assert stacked_bars(Series([], 10)).bars == []
    assert sparkline([]) == ""
