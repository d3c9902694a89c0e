"""Foreign text made storable and showable."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.text import clean, clean_ends, shorten

# Every code point, lone surrogates too.
HOSTILE = st.text(
    st.one_of(st.characters(exclude_categories=()), st.sampled_from("\0\x1b[]m;\r\n\t\ud800\u202e\x9b\x07")),
    max_size=400,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words,\n\ttabs and newlines", "plain words,\n\ttabs and newlines"),
        ("a\0b", "ab"),
        ("bad \ud83d half", "bad \ufffd half"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:2::1:2:3mtrue colour", "true colour"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never closed", "]0;never closed"),
        ("ring\x07 del\x7f c1\x85", "ring del c1"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("naïve 日本語 🎉", "naïve 日本語 🎉"),
    ],
)
def test_what_must_not_stay_is_removed_replaced_or_shown(text, expected):
    assert clean(text) == expected


def test_long_text_is_cut_on_a_character_and_says_so():
    cut = clean("é" * 100_000, max_bytes=1000)
    assert 990 <= len(cut.encode()) <= 1000
    assert cut.startswith("é" * 400)
    assert cut.endswith("… [cut: 100,000 characters in all]")


def test_of_both_ends_the_end_is_kept_longer():
    text = "".join(f"line {number}\n" for number in range(10_000))
    cut = clean_ends(text, 2000)
    assert len(cut.encode()) <= 2000
    assert cut.startswith("line 0\nline 1\n")
    assert cut.endswith("line 9998\nline 9999\n")
    assert f"[cut: {len(text):,} characters in all]" in cut
    assert shorten("short", 2000) == "short"


def test_a_hundred_megabytes_cost_no_more_than_a_few_kilobytes():
    text = "\x1b[31m\0x" * (100 * 1024 * 1024 // 7)
    started = time.process_time()
    assert len(clean(text).encode()) <= 8192
    assert len(clean_ends(text, 32768).encode()) <= 32768
    assert time.process_time() - started < 1


def test_a_limit_without_room_for_the_mark_is_refused():
    with pytest.raises(ValueError, match="max_bytes"):
        clean("x", max_bytes=10)


@given(HOSTILE, st.integers(128, 600))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_the_result_fits_is_clean_and_stays_as_it_is(text, max_bytes):
    for tidy in (clean, clean_ends):
        result = tidy(text, max_bytes)
        assert len(result.encode()) <= max_bytes
        controls = {chr(code) for code in (*range(32), *range(127, 160))} - {"\n", "\t"}
        assert not controls & set(result)
        assert not {"\u202e", "\u2066", "\u200f"} & set(result)
        assert tidy(result, max_bytes) == result


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=500))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_ordinary_text_is_left_alone(text):
    assert clean(text) == text
