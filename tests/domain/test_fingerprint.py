"""Failures with one cause have one name."""

import time
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from queues.domain.fingerprint import fingerprint, normalise

WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
HEX = st.text("0123456789abcdef", min_size=8, max_size=64).filter(lambda text: any(c.isdigit() for c in text))
MOMENT = st.datetimes()
VARIABLES = {
    "an integer": st.integers(-(10**30), 10**30).map(str),
    "a decimal": st.decimals(-(10**9), 10**9, places=3).map(str),
    "a float": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "a UUID": st.uuids().map(str),
    "an address in memory": st.integers(0, 2**64).map(hex),
    "a digest": HEX,
    "a quoted string": st.text(max_size=60).map(lambda text: repr(text)),
    "quoted bytes": st.binary(max_size=60).map(repr),
    "an ISO date and time": MOMENT.map(lambda moment: f"2024-01-02T{moment:%H:%M:%S}Z"),
    "a clock time": MOMENT.map(lambda moment: f"{moment:%H:%M:%S.%f}"),
    "a date": st.dates(min_value=date(1900, 1, 1)).map(str),
    "an e-mail address": st.tuples(WORD, WORD).map(lambda pair: f"{pair[0]}.x+1@{pair[1]}.example.org"),
    "a path": st.lists(WORD, min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts) + ".csv"),
    "a Windows path": st.lists(WORD, min_size=1, max_size=6).map(lambda parts: "C:\\" + "\\".join(parts)),
    "a URL": st.tuples(WORD, WORD).map(lambda pair: f"https://{pair[0]}.example.org/{pair[1]}?q=1&id=2"),
    "an IPv4 address": st.ip_addresses(v=4).map(str),
}


@pytest.mark.parametrize("kind", VARIABLES)
def test_messages_that_differ_in_a_variable_part_are_the_same_failure(kind):
    @given(VARIABLES[kind], VARIABLES[kind], st.integers(0, 99), st.integers(0, 99))
    @settings(max_examples=60, derandomize=True, deadline=None)
    def check(one, other, row, other_row):
        a = normalise(f"cannot load {one} (row {row}), can't go on")
        assert a == normalise(f"cannot load {other} (row {other_row}), can't go on")
        assert a.startswith("cannot load ")
        assert a.endswith("(row #), can't go on")

    check()


@pytest.mark.parametrize(
    ("message", "normal"),
    [
        ("connection refused", "connection refused"),
        ("timeout after 30.5 s", "timeout after # s"),
        ("user123 not found", "user# not found"),
        ("can't open user's file", "can't open user's file"),
        ("KeyError: 'name'", "KeyError: <text>"),
        ('no column "total" in "orders"', "no column <text> in <text>"),
        ("Key (email)=(Bob Smith) already exists.", "Key (email)=(<text>) already exists."),
        ("see https://example.org/x/1, then retry", "see <url>, then retry"),
        ("bob@example.org bounced", "<email> bounced"),
        ("no such file: /srv/data/in.csv", "no such file: <path>"),
        ("at 2024-05-06 07:08:09.123+02:00 UTC", "at <time> UTC"),
        ("<Job object at 0x7f3a>", "<Job object at #>"),
        ("commit deadbeef1 is missing", "commit # is missing"),
        ("either/or is no path", "either/or is no path"),
        ("one\n   two\t three", "one two three"),
        ("", ""),
    ],
)
def test_the_normal_form(message, normal):
    assert normalise(message) == normal


def test_a_long_variable_at_the_cut_does_not_tell_failures_apart():
    one = normalise(f"bad value '{'x' * 5000}' in row 5")
    assert one == normalise(f"bad value '{'y' * 9000}' in row 7")
    assert one.startswith("bad value <text>")


def test_class_and_place_count_and_the_fields_do_not_run_into_each_other():
    assert fingerprint("ValueError", "app.py:run", "x") != fingerprint("ValueError", "app.py:stop", "x")
    assert fingerprint("a", "bc", "x") != fingerprint("ab", "c", "x")
    assert fingerprint("E", "p", "row 1") == fingerprint("E", "p", "row 2")


def test_it_is_the_same_in_every_process_and_release():
    assert fingerprint("ValueError", "app.py:run", "row 1") == "26d726f56bf3027f"


@given(WORD, WORD, WORD, st.text(max_size=100))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_different_classes_never_share_a_fingerprint(one, other, place, message):
    assume(one != other)
    first, second = fingerprint(one, place, message), fingerprint(other, place, message)
    assert first != second
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")


@given(st.text(st.characters(exclude_categories=()), max_size=3000))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_text_has_a_fingerprint(message):
    assert len(normalise(message)) <= 400
    assert len(fingerprint("E", "p", message)) == 16


PIECES = [
    "'",
    '"',
    "\\",
    "'\\",
    " 'a",
    "/",
    "a/",
    "./",
    "@",
    "a@",
    "a.",
    "a@a.",
    "://",
    "a://",
    "0",
    "0x",
    "a0",
]
PIECES += [
    "-",
    "1:",
    "1-",
    "1.",
    "1e",
    ")=(",
    "`",
    "“",
    "«",
    "a-",
    "ab12",
    "2024-01-01 ",
    "\ud800",
    "日",
    " ",
    "C:\\",
]


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_messages_cost_no_more_than_long_ones(piece):
    message = piece * 100_000
    started = time.process_time()
    normalise(message)
    normalise("x" + message)
    assert time.process_time() - started < 0.2
