"""The rules of a payload, on values and on JSON text."""

import json
import marshal
import pickle
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.payload import (
    JsonText,
    PayloadError,
    PayloadRules,
    check_text,
    check_value,
    sprawls,
)
from tests.domain.json_values import HUGE, NO_JSON, VALUES, Colour, nested, plain


def refusal(check, *args):
    with pytest.raises(PayloadError) as caught:
        check(*args)
    return caught.value


def nest(levels, inner=1):
    for _ in range(levels):
        inner = [inner]
    return inner


class TestValues:
    @given(VALUES)
    @settings(max_examples=150, derandomize=True, deadline=None)
    def test_json_values_pass(self, value):
        check_value(value)

    def test_an_integer_too_long_to_be_printed_is_refused_at_once(self):
        assert str(refusal(check_value, {"n": HUGE})) == "$.n: number with more than 1,000 digits"

    @pytest.mark.parametrize("value", NO_JSON, ids=lambda value: type(value).__name__)
    def test_what_is_no_json_is_refused_with_its_place(self, value):
        error = refusal(check_value, {"items": [0, {"x": value}]})
        assert error.path == "$.items[1].x"
        assert str(error) == f"$.items[1].x: {error.reason}"

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({"when": date(2024, 1, 1)}, "$.when: datetime.date is not a JSON type"),
            ([Colour.RED], "$[0]: tests.domain.json_values.Colour is not a JSON type"),
            ({"a": {1: 2}}, "$.a: key of type int, keys must be str"),
            ({"a b": float("nan")}, '$["a b"]: nan is not a JSON number'),
            ({"ü": "\0"}, '$["\\u00fc"]: text holds a NUL character, which PostgreSQL cannot store'),
            ({"x": {"\ud800": 1}}, '$.x: key "\\ud800" holds a lone surrogate, which is not a character'),
            ({"n": 10**1000}, "$.n: number with more than 1,000 digits"),
            ({1, 2}, "$: set is not a JSON type"),
        ],
    )
    def test_the_message_says_what_and_where(self, value, message):
        assert str(refusal(check_value, value)) == message

    def test_a_thousand_digits_are_the_most(self):
        check_value([10**1000 - 1, 1 - 10**1000])

    def test_sixty_four_levels_are_the_most(self):
        check_value(nest(64))
        check_value(nest(63, {}))
        assert refusal(check_value, nest(65)).reason == "nested deeper than 64"
        assert refusal(check_value, nest(64, {})).path == "$" + "[0]" * 64
        assert refusal(check_value, nest(100_000)).reason == "nested deeper than 64"

    def test_a_structure_that_contains_itself_is_called_circular(self):
        circle = {"name": "x", "again": []}
        circle["again"].append(circle)
        assert refusal(check_value, circle).reason == "circular structure"

    def test_shared_parts_are_walked_no_further_than_the_size_limit(self):
        value = [0]
        for _ in range(60):
            value = [value, value]
        started = time.process_time()
        assert "bytes allowed" in refusal(check_value, value).reason
        assert time.process_time() - started < 5

    def test_a_part_that_appears_twice_is_not_circular(self):
        part = [1]
        check_value({"a": part, "b": [part, part]})

    def test_a_very_long_path_is_cut(self):
        value = 1j
        for _ in range(60):
            value = {"k" * 1000: value}
        assert len(refusal(check_value, value).path) <= 300

    @given(nested())
    @settings(max_examples=100, derandomize=True, deadline=None)
    def test_the_quick_look_suspects_whatever_is_too_deep(self, value):
        try:
            check_value(value)
        except PayloadError:
            assert sprawls([value], 64, len(marshal.dumps(value)))

    @pytest.mark.parametrize("kind", [list, tuple, lambda parts: dict(enumerate(parts))])
    def test_the_quick_look_suspects_what_is_shared_and_lets_the_ordinary_pass(self, kind):
        value = kind([1] * 3)
        for _ in range(10):
            value = kind([value, 1.5, "text"])
        assert not sprawls([value] * 100, 64, len(marshal.dumps(value)) * 100)
        for _ in range(40):
            value = kind([value, value])
        assert sprawls([value], 64, len(marshal.dumps(value)))

    def test_a_long_list_of_the_same_long_list_is_looked_at_piece_by_piece(self):
        value = [[0] * 100_000] * 100_000
        started = time.process_time()
        assert sprawls([value], 64, len(marshal.dumps(value)))
        assert time.process_time() - started < 1


class TestText:
    @given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
    @settings(max_examples=150, derandomize=True, deadline=None)
    def test_json_passes_as_written_but_on_one_line(self, value, ascii_only, indent):
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        stored = check_text(text)
        assert json.loads(stored) == plain(value)
        assert not set("\n\r\t") & set(stored)
        if indent is None:
            assert stored == text

    @pytest.mark.parametrize(
        "text",
        [
            '{"a": 1.10, "b": 0.1000000000000000055, "c": 12345678901234567890123, "d": -0, "e": 1E+5}',
            '"\\ud83c\\udf89 \\\\u0000 \\u00e9"',
            '["[[[[[[[[{{{{\\"[[[["]',
            "9" * 1000,
            "0." + "9" * 999,
            "1e1000",
            "1e-0001000",
            " [1]  ",
        ],
    )
    def test_what_is_allowed_stays_exactly_as_written(self, text):
        assert check_text(text) == text

    def test_white_space_between_tokens_cannot_break_a_row(self):
        assert check_text('{\r\n\t"a\\n\\t": [1,\n2]}\n') == '{   "a\\n\\t": [1, 2]} '

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": [1, {"b": 1, "b": 2}]}', "$.a[1].b: duplicate key"),
            ('{"a": 1, "\\u0061": 2}', "$.a: duplicate key"),
            ('{"a": [NaN]}', "$.a[0]: NaN is not a JSON number"),
            ('{"a": -Infinity}', "$.a: -Infinity is not a JSON number"),
            ('{"a": 1e1001}', "$.a: number with an exponent beyond 1,000"),
            ("[1e200000]", "$[0]: number with an exponent beyond 1,000"),
            ("[1E-999999999999]", "$[0]: number with an exponent beyond 1,000"),
            (f'{{"n": {"9" * 1001}}}', "$.n: number with more than 1,000 digits"),
            (f'{{"n": -0.{"9" * 1000}}}', "$.n: number with more than 1,000 digits"),
            (f'{{"n": 1e{"0" * 1000}1}}', "$.n: number with more than 1,000 digits"),
            ('{"a": "\\u0000"}', "$.a: text holds a NUL character, which PostgreSQL cannot store"),
            ('["\\ud800"]', "$[0]: text holds a lone surrogate, which is not a character"),
            ('{"\\udc00x": 1}', '$: key "\\udc00x" holds a lone surrogate, which is not a character'),
            ('["\ud800"]', "$: lone surrogate at character 3"),
            ("[1,]", "$: not JSON: Expecting value at character 4"),
            ("", "$: not JSON: Expecting value at character 1"),
            ("[1] [2]", "$: not JSON: Extra data at character 5"),
            ("\ufeff[1]", "$: not JSON: Expecting value at character 1"),
            ('"raw \n line"', "$: not JSON: Invalid control character at at character 6"),
            ("{1: 2}", "$: not JSON: Expecting property name enclosed in double quotes at character 2"),
            ("[" * 65 + "]" * 65, "$: nested deeper than 64"),
            ("[" * 100_000, "$: nested deeper than 64"),
            ('{"a":' * 100_000, "$: nested deeper than 64"),
            ("]" * 100_000, "$: not JSON: Expecting value at character 1"),
            ("1" * 1_048_577, "$: 1,048,577 bytes, more than the 1,048,576 allowed"),
            ('"' + "é" * 524_288 + '"', "$: 1,048,578 bytes, more than the 1,048,576 allowed"),
        ],
    )
    def test_what_is_not_is_refused_with_its_place(self, text, message):
        assert str(refusal(check_text, text)) == message

    @given(nested())
    @settings(max_examples=100, derandomize=True, deadline=None)
    def test_text_and_value_are_measured_alike(self, value):
        refused = []
        for check, argument in ((check_value, value), (check_text, json.dumps(value))):
            try:
                check(argument)
            except PayloadError:
                refused.append(check)
        assert len(refused) in {0, 2}

    @given(st.text('[]{}",:\\u0d8ntf1eE.- \n', max_size=60))
    @settings(max_examples=300, derandomize=True, deadline=None)
    def test_what_passes_is_json_and_everything_else_is_a_payload_error(self, text):
        try:
            stored = check_text(text, PayloadRules(max_depth=3))
        except PayloadError:
            return
        check_value(json.loads(stored), PayloadRules(max_depth=3))

    @pytest.mark.parametrize(
        "piece",
        ['"', '\\"', '"\\"', "[]", "[[]", '{"', '["', "[1,", "\\", "0", "-", '"a":', "\\u0000", "[{}]"],
    )
    def test_a_hostile_megabyte_is_read_in_linear_time(self, piece):
        started = time.process_time()
        for start in ("", "[", '"', "[]" * 70 + '"'):
            refusal(check_text, start + piece * (1_000_000 // len(piece)))
        assert time.process_time() - started < 3


class TestErrorsAndRules:
    def test_an_error_names_the_item_and_travels_between_processes(self):
        error = PayloadError("too odd", "$.a").at(3)
        assert str(error) == "item 3: $.a: too odd"
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.reason, copy.path, copy.index, str(copy)) == ("too odd", "$.a", 3, str(error))

    def test_a_wrapped_text_is_no_value(self):
        assert "JsonText is not a JSON type" in refusal(check_value, [JsonText("1")]).reason

    def test_rules_can_be_narrower(self):
        rules = PayloadRules(max_bytes=10, max_depth=1)
        assert "deeper than 1" in refusal(check_value, [[]], rules).reason
        assert "11 bytes" in refusal(check_text, '"123456789"', rules).reason

    @pytest.mark.parametrize("field", ["max_bytes", "max_depth", "max_number_digits", "max_exponent"])
    def test_rules_that_cannot_be_kept_are_refused(self, field):
        for value in (0, 2**40):
            with pytest.raises(ValueError, match=f"^{field}: "):
                PayloadRules(**{field: value})
