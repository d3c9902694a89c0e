"""Blocks of payloads to JSON text and COPY rows; the fast path against the exact walk."""

import json
import math
import struct
import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from queues import codec
from queues.domain.payload import JsonText, PayloadError, PayloadRules, check_value
from tests.domain.json_values import HOSTILE, HUGE, NO_JSON, VALUES, nested, plain

ORDINARY = [{"id": number, "name": f"user {number}", "ok": True, "note": None} for number in range(700)]


def refusal(items, *args, **options):
    with pytest.raises(PayloadError) as caught:
        codec.encode_block(items, *args, **options)
    return caught.value


def outcome(value):
    """The text of one value, or the words of its refusal, by way of the block."""
    try:
        return codec.encode_block([value])[0]
    except PayloadError as error:
        return f"{error.path}: {error.reason}"


def exact_outcome(value):
    try:
        return codec.encode(value)
    except PayloadError as error:
        return f"{error.path}: {error.reason}"


class TestBlocks:
    def test_a_block_keeps_its_order_and_its_content(self):
        texts = codec.encode_block(ORDINARY)
        assert texts[0] == '{"id":0,"name":"user 0","ok":true,"note":null}'
        assert [json.loads(text) for text in texts] == ORDINARY

    def test_nothing_gives_nothing(self):
        assert codec.encode_block([]) == []

    @given(st.lists(VALUES, max_size=5))
    @settings(max_examples=200, derandomize=True, deadline=None)
    def test_every_accepted_payload_comes_back_unchanged(self, values):
        texts = codec.encode_block(values)
        back = codec.decode_document(f"[{','.join(texts)}]")
        assert back == [plain(value) for value in values]
        assert repr(back) == repr([plain(value) for value in values])

    @given(st.one_of(HOSTILE, nested()))
    @settings(max_examples=400, derandomize=True, deadline=None)
    def test_the_fast_path_and_the_exact_walk_agree(self, value):
        assert outcome(value) == exact_outcome(value)

    @pytest.mark.parametrize("odd", NO_JSON, ids=lambda value: type(value).__name__)
    def test_one_odd_item_among_many_is_found_and_named(self, odd):
        items = [*ORDINARY, {"deep": [odd]}, *ORDINARY]
        error = refusal(items, first_index=1000)
        assert error.index == 1700
        assert error.path == "$.deep[0]"
        assert str(error).startswith("item 1700: $.deep[0]: ")

    def test_an_integer_too_long_to_be_printed_is_refused_at_once(self):
        assert refusal([1, [HUGE]]).path == "$[0]"

    def test_the_first_of_several_odd_items_is_named(self):
        assert refusal([1, 2, 1j, "\0"]).index == 2

    @given(st.integers(0, 2**52 - 1), st.booleans())
    @settings(max_examples=200, derandomize=True, deadline=None)
    @example(0, False)
    @example(1, True)
    def test_no_pattern_of_nan_or_infinity_becomes_null(self, mantissa, negative):
        bits = (negative << 63) | (0x7FF << 52) | mantissa
        (value,) = struct.unpack("<d", struct.pack("<Q", bits))
        assert not math.isfinite(value)
        shared = [value, "text", 1.5]
        refusal([{"a": [shared, shared], "b": None}])
        refusal([[value]])

    @pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0, 1e22])
    def test_extreme_floats_are_kept(self, value):
        assert repr(json.loads(codec.encode_block([value])[0])) == repr(value)

    def test_integers_beyond_64_bits_stay_exact(self):
        values = [2**64, -(2**63) - 1, 10**1000 - 1]
        assert codec.decode_document(f"[{','.join(codec.encode_block(values))}]") == values

    def test_a_depth_of_64_passes_however_it_is_made_and_65_does_not(self):
        for kind in (lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}):
            value = 1
            for _ in range(64):
                value = kind(value)
            codec.encode_block([*ORDINARY[:5], value])
            assert refusal([*ORDINARY[:5], kind(value)]).reason == "nested deeper than 64"

    def test_a_small_value_that_is_endless_when_written_out_is_refused_soon(self):
        for kind in (lambda part: [part, part], lambda part: (part, part), lambda part: {"a": part, "b": part}):
            value = (1,)
            for _ in range(40):
                value = kind(value)
            started = time.process_time()
            error = refusal([*ORDINARY, value, *ORDINARY])
            assert time.process_time() - started < 5
            assert error.index == 700
            assert "more than the 1,048,576 bytes allowed" in error.reason

    def test_parts_that_many_items_share_are_written_out_in_each(self):
        settings = {"fonts": ["a", "b"] * 200, "sizes": tuple(range(500))}
        items = [{"n": n, "settings": settings} for n in range(500)]
        assert [json.loads(text) for text in codec.encode_block(items)] == [plain(item) for item in items]

    def test_many_containers_are_not_many_levels(self):
        item = {"rows": [{"a": [1, "[[[["]} for _ in range(500)]}
        assert json.loads(codec.encode_block([item])[0]) == item

    def test_endless_nesting_neither_ends_the_process_nor_overflows(self):
        for kind in (lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}):
            value = 1
            for _ in range(100_000):
                value = kind(value)
            assert refusal([value]).reason == "nested deeper than 64"
        circle = []
        circle.append((circle,))
        assert refusal([circle]).reason == "circular structure"

    def test_the_size_is_that_of_the_text_in_bytes(self):
        rules = PayloadRules(max_bytes=100)
        assert codec.encode_block(["é" * 49, "x" * 98], rules) == ['"' + "é" * 49 + '"', '"' + "x" * 98 + '"']
        assert refusal(["x", "é" * 49 + "x"], rules).reason == "101 bytes, more than the 100 allowed"
        assert refusal(["x" * 99, "x"], rules).index == 0

    def test_a_backslash_followed_by_u0000_is_not_nul(self):
        assert json.loads(codec.encode_block(["\\u0000"])[0]) == "\\u0000"

    def test_blocks_can_be_encoded_in_threads(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(codec.encode_block(ORDINARY))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [codec.encode_block(ORDINARY)] * 4


class TestWrittenJson:
    def test_it_is_stored_as_written_beside_others(self):
        items = [{"a": 1}, JsonText('{"n": 1.10,\n\t"m": 12345678901234567890123}'), 2]
        assert codec.encode_block(items) == ['{"a":1}', '{"n": 1.10,  "m": 12345678901234567890123}', "2"]

    def test_its_flaws_are_named_like_others(self):
        items = [JsonText("1")] * 300 + [JsonText('{"a": {"b": 1, "b": 2}}')]
        assert str(refusal(items, first_index=50)) == "item 350: $.a.b: duplicate key"


class TestCopyRows:
    def test_one_row_for_each_text(self):
        rows = codec.copy_rows(7, 3, 9, ['{"a":1}', "null"])
        assert rows == '7\t3\t9\t{"a":1}\n8\t3\t9\tnull\n'

    def test_no_batch_is_null(self):
        assert codec.copy_rows(7, 3, None, ["1"]) == "7\t3\t\\N\t1\n"

    def test_backslashes_are_escaped_but_not_that_of_null(self):
        assert codec.copy_rows(7, 3, None, ['"\\n"', '"\\\\N"']) == '7\t3\t\\N\t"\\\\n"\n8\t3\t\\N\t"\\\\\\\\N"\n'
        assert codec.copy_rows(7, 3, 9, ['"\\t\\\\"']) == '7\t3\t9\t"\\\\t\\\\\\\\"\n'

    def test_no_texts_no_rows(self):
        assert codec.copy_rows(7, 3, 9, []) == ""

    @given(st.lists(st.one_of(VALUES, VALUES.map(lambda value: JsonText(json.dumps(value, indent=1)))), max_size=5))
    @settings(max_examples=150, derandomize=True, deadline=None)
    def test_the_rows_read_back_as_copy_reads_them(self, values):
        values = [value for value in values if isinstance(value, JsonText) or _passes(value)]
        texts = codec.encode_block(values)
        for batch, shown in ((5, "5"), (None, "\\N")):
            lines = codec.copy_rows(100, 3, batch, texts).split("\n")
            assert lines.pop() == ""
            fields = [line.split("\t") for line in lines]
            assert [row[:3] for row in fields] == [[str(100 + i), "3", shown] for i in range(len(values))]
            assert [_unescape(row[3]) for row in fields] == texts


class TestDocuments:
    def test_numbers_are_exact(self):
        assert codec.decode_document("[18446744073709551616, 1.5]") == [18446744073709551616, 1.5]

    @pytest.mark.parametrize("text", ['{"a": 1}', "1", "", "[1"])
    def test_anything_but_an_array_is_refused(self, text):
        with pytest.raises(ValueError):
            codec.decode_document(text)


def _passes(value):
    try:
        check_value(value)
    except PayloadError:
        return False
    return True


def _unescape(field):
    """COPY's text format: the escapes that can occur in JSON on one line."""
    return field.replace("\\\\", "\\")
