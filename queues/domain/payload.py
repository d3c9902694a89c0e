"""What a payload may be, from a Python value and from JSON text.

The fast way, for a hundred thousand dicts at once, is `queues.codec`; it comes back here as soon as anything
looks odd, so that the rules are written down only once. This module is the face; the rules themselves and
the walk over values are in `payload_walk`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from queues.domain.payload_walk import (
    DEFAULT_RULES,
    Flaw,
    PayloadError,
    PayloadRules,
    check_value,
    sprawls,
    too_deep,
    too_long,
)

__all__ = [
    "DEFAULT_RULES",
    "JsonText",
    "PayloadError",
    "PayloadRules",
    "check_size",
    "check_text",
    "check_value",
    "sprawls",
]

# Escapes that may stand for a character that is not allowed. Only the decoded value can tell: "\\u0000" in
# JSON is a backslash and five characters.
_ODD_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
# Strings, also one that never ends (or each quote in it would be searched to the end), and all other text.
_NOT_A_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++', re.DOTALL)
# Numbers up to this length break no rule: PayloadRules allows no fewer than 32 digits and exponents of 400.
_SHORT_INT: Final = 32


@dataclass(frozen=True, slots=True)
class JsonText:
    """A payload that is JSON text already. It is checked and then stored as written: 1.10 stays 1.10."""

    text: str


def check_text(text: str, rules: PayloadRules = DEFAULT_RULES) -> str:
    """Raise PayloadError unless `text` is one JSON value by the rules; return it as it may be stored.

    Returned as written, so that numbers stay exact, but on one line: CR, LF and tab can only stand between
    tokens and become spaces. Linear whatever is in it; about 5 µs for 150 bytes.
    """
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise PayloadError(f"lone surrogate at character {error.start + 1}") from None
    check_size(size, rules)
    if text.count("[") + text.count("{") > rules.max_depth and _text_is_deeper(text, rules.max_depth):
        raise PayloadError(too_deep(rules))
    strict, marking = _decoders(rules)
    try:
        strict.decode(text)
        if rules.picky or _ODD_ESCAPE.search(text):
            check_value(marking.decode(text), rules)
    except _FlawFound as found:
        # The strict decoder knows that something is wrong, but not where. The other leaves a mark in place
        # of each flaw, and the walk finds the way to the first.
        check_value(marking.decode(text), rules)
        raise PayloadError(found.reason) from None  # pragma: no cover - both decoders judge alike
    except json.JSONDecodeError as error:
        raise PayloadError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise PayloadError("not read: the stack is nearly used up") from None
    return text.replace("\n", " ").replace("\r", " ").replace("\t", " ")


def check_size(size: int, rules: PayloadRules = DEFAULT_RULES) -> None:
    """Raise PayloadError for a payload of `size` bytes of UTF-8 if that is more than the rules allow."""
    if size > rules.max_bytes:
        raise PayloadError(f"{size:,} bytes, more than the {rules.max_bytes:,} allowed")


def _text_is_deeper(text: str, limit: int) -> bool:
    """Whether JSON text nests more than `limit` deep, without recursion. Text that is no JSON may pass.

    What remains without strings is brackets. Each replacement takes away the innermost pairs, one level of
    every branch, so as many rounds as the limit must leave nothing. Opening brackets that no bracket closes
    count too, for the decoder would descend into them before it finds out.
    """
    brackets = _NOT_A_BRACKET.sub("", text).replace("{", "[").replace("}", "]")
    for _ in range(limit):
        left = brackets.replace("[]", "")
        if len(left) == len(brackets):
            break
        brackets = left
    return "[]" in brackets or brackets.count("[") > limit


class _FlawFound(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.reason)
        self.reason = flaw.reason


def _stop(flaw: Flaw) -> object:
    raise _FlawFound(flaw)


@lru_cache(maxsize=16)
def _decoders(rules: PayloadRules) -> tuple[json.JSONDecoder, json.JSONDecoder]:
    """(one that stops at the first flaw, one that marks each). Neither keeps state between calls."""
    return _decoder(rules, _stop), _decoder(rules, lambda flaw: flaw)


def _decoder(rules: PayloadRules, flawed: Callable[[Flaw], object]) -> json.JSONDecoder:
    """Reads JSON for its structure: numbers are judged by their text and never converted."""

    def number(literal: str) -> object:
        reason = _number_flaw(literal, rules)
        return flawed(Flaw(reason)) if reason else 0

    def integer(literal: str) -> object:
        return 0 if len(literal) <= _SHORT_INT else number(literal)

    def members(pairs: list[tuple[str, object]]) -> object:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = Counter(key for key, _ in pairs)
            found |= {key: flawed(Flaw("duplicate key")) for key, times in keys.items() if times > 1}
        return found

    return json.JSONDecoder(
        object_pairs_hook=members,
        parse_int=integer,
        parse_float=number,
        parse_constant=lambda name: flawed(Flaw(f"{name} is not a JSON number")),
    )


def _number_flaw(literal: str, rules: PayloadRules) -> str:
    """Why a number literal is refused, or nothing. PostgreSQL's numeric takes all that pass."""
    digits = len(literal) - sum(map(literal.count, "-+.eE"))
    if digits > rules.max_number_digits:
        return too_long(rules)
    _, _, exponent = literal.lower().partition("e")
    exponent = exponent.lstrip("+-").lstrip("0")
    if len(exponent) > 5 or int(exponent or "0") > rules.max_exponent:
        return f"number with an exponent beyond {rules.max_exponent:,}"
    return ""
