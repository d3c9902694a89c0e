"""Foreign text: harmless to the eye, exact to the digit."""

import json
from datetime import timedelta

import pytest
from django.utils.html import escape
from hypothesis import given
from hypothesis import strategies as st

from monitoring.templatetags.console import about, duration, percent, pretty_json, rate, timed
from monitoring.texts import first_line, visible
from monitoring.texts import pretty_json as pieces

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("evil\u202egnp.exe", "evil\\u{202e}gnp.exe"),
        ("a\x00b\x7f", "a\\u{0}b\\u{7f}"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("naïve 日本語 🎉", "naïve 日本語 🎉"),
    ],
)
def test_unseen_characters_are_spelled_out(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_table_shows_the_first_line_cut_short() -> None:
    assert first_line("\n one \ntwo") == "one"
    assert len(first_line("x" * 10_000)) == 200


@given(JSON, st.booleans())
def test_pretty_json_means_the_same(value: object, ascii_only: bool) -> None:
    stored = json.dumps(value, ensure_ascii=ascii_only)
    shown = "".join(piece.text for piece in pieces(stored))
    if ascii_only:
        assert json.loads(shown) == json.loads(stored)


def test_numbers_stay_as_they_are_written() -> None:
    stored = '{"id":12345678901234567890123,"price":10.10,"tiny":1E-400}'
    shown = pretty_json(stored)
    assert "12345678901234567890123" in shown
    assert "10.10" in shown
    assert "1E-400" in shown


def test_a_payload_cannot_leave_its_place() -> None:
    hostile = "</pre><script>alert(1)</script>"
    shown = pretty_json(json.dumps({hostile: hostile}))
    assert "<script" not in shown
    assert escape("<script>") in shown


def test_a_payload_that_was_cut_is_shown_as_far_as_it_goes() -> None:
    assert "abc" in pretty_json('{"a": ["abc')


def test_deep_nesting_is_indented_only_so_far() -> None:
    assert len(pretty_json("[" * 1_000 + "]" * 1_000)) < 1_000_000


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert percent(0.9999999) == "99.99 %"
    assert percent(1.0) == "100 %"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.04, "<0.1"), (0.25, "0.2"), (9.96, "10.0"), (12.4, "12"), (251_000, "251,000")]
)
def test_rates_have_two_digits_that_matter(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (3.21, "3.2 s"), (75, "1 min 15 s"), (3_900, "1 h 05 min"), (90_000, "1 d 01 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


def test_the_times_of_a_sentence_are_shown_in_the_readers_zone() -> None:
    assert timed("Paused since 2026-03-05 11:50:00 UTC (not 2026-99-05 11:50:00 UTC <b>).") == (
        'Paused since <time datetime="2026-03-05T11:50:00.000Z" data-form="full">2026-03-05 11:50:00 UTC</time> '
        "(not 2026-99-05 11:50:00 UTC &lt;b&gt;)."
    )


def test_a_forecast_has_one_unit() -> None:
    assert about(timedelta(seconds=0.2)) == "~1 s"
    assert about(timedelta(seconds=89)) == "~89 s"
    assert about(timedelta(seconds=600)) == "~10 min"
    assert about(timedelta(hours=30)) == "~30 h"
