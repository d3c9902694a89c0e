"""The rules for one payload, and the exact walk over a Python value that applies them.

Callers import from `queues.domain.payload`, which adds the rules for JSON text.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_CONTAINERS: Final = frozenset((dict, list, tuple))
_LONGEST_PATH: Final = 300
# Parts may be shared so far without a closer look, which is ten times slower.
_SHARED_VALUES: Final = 2**16
# Pointers made by one look into containers: one gigabyte of them.
_MOST_AT_ONCE: Final = 2**27


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRules:
    """Limits of one payload. The lengths of texts and what keys there may and must be are a queue's own wishes.

    The lower bounds on numbers are what 64-bit integers and floats may need: the fast path of `queues.codec`
    relies on them. Depth ends at 200, where the recursion limits of the JSON libraries come near.
    """

    max_bytes: int = 1024 * 1024
    max_depth: int = 64
    max_number_digits: int = 1000
    max_exponent: int = 1000
    max_string: int | None = None
    forbidden: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounds = {
            "max_bytes": (2, 2**30),
            "max_depth": (1, 200),
            "max_number_digits": (32, 4000),
            "max_exponent": (400, 16_000),
        }
        for name, (lowest, highest) in bounds.items():
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name}: {getattr(self, name)} is not in {lowest}..{highest}")
        if self.max_string is not None and self.max_string < 1:
            raise ValueError(f"max_string: {self.max_string} is below 1")

    @property
    def picky(self) -> bool:
        """Whether only the walk can tell: these rules are about what is in the values."""
        return self.max_string is not None or bool(self.forbidden) or bool(self.required)


DEFAULT_RULES: Final = PayloadRules()


class PayloadError(ValueError):
    """A payload that is refused: why (`reason`), where in it (`path`), and which one (`index`, from 0)."""

    def __init__(self, reason: str, path: str = "$", index: int | None = None) -> None:
        super().__init__(reason, path, index)
        self.reason = reason
        self.path = path
        self.index = index

    def __str__(self) -> str:
        item = "" if self.index is None else f"item {self.index}: "
        return f"{item}{self.path}: {self.reason}"

    def at(self, index: int) -> PayloadError:
        """The same error, naming the item of the batch that it is about."""
        return PayloadError(self.reason, self.path, index)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Stands in a decoded value where the text was not acceptable, so that the walk can name the place."""

    reason: str


def check_value(value: object, rules: PayloadRules = DEFAULT_RULES) -> None:
    """Raise PayloadError unless `value` is a JSON value by the rules: the exact and slow way.

    Allowed are dict with string keys, list, tuple, str, int, float, bool and None, by exact type: a subclass
    (an enum, a named tuple, a marked string) may mean more than its JSON would say. The size in bytes is
    known only to whoever serialises; here it merely bounds the walk. About 0.3 µs for each value inside.
    """
    try:
        if rules.required:
            _check_required(value, rules.required)
        _Walk(rules).visit(value)
    except _Fault as fault:
        raise PayloadError(fault.reason, fault.path()) from None


def sprawls(values: Sequence[object], depth: int, written: int) -> bool:
    """Whether some of these values may be nested deeper than `depth`, or may hold far more than they seem to.

    `written` is a number of bytes in which shared parts count once. Each value inside takes a byte or more, so
    beyond that number parts are shared: twenty levels of a pair of twice the same pair are a million values.
    May be wrong by suspecting too much, but not otherwise. Level by level, 10 to 20 ns for each value: the
    garbage collector's own way of looking into containers, which neither sees keys nor asks for types.
    """
    level: Sequence[object] = values
    left = written + _SHARED_VALUES
    # One look at a list that holds a long list many times over would fill the memory: so much at once, no more.
    step = max(1, _MOST_AT_ONCE // max(written, 1))
    for _ in range(depth):
        below: list[object] = []
        for start in range(0, len(level), step):
            below += gc.get_referents(*level[start : start + step])
            if len(below) > left:
                return True
        if not below:
            return False
        left -= len(below)
        level = below
    return True


def too_deep(rules: PayloadRules) -> str:
    """The words for a payload that is nested too deeply."""
    return f"nested deeper than {rules.max_depth}"


def too_long(rules: PayloadRules) -> str:
    """The words for a number with too many digits."""
    return f"number with more than {rules.max_number_digits:,} digits"


class _Fault(Exception):
    """A flaw on its way up. Each level it passes adds its step, so that good values pay for no path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str | int] = []

    def path(self) -> str:
        text = "$" + "".join(_step(step) for step in reversed(self.steps))
        return text if len(text) <= _LONGEST_PATH else text[: _LONGEST_PATH - 1] + "…"


class _Walk:
    """One walk over one value, up to the first flaw."""

    __slots__ = ("_budget", "_int_bound", "_parents", "_picky", "_rules")

    def __init__(self, rules: PayloadRules) -> None:
        self._rules = rules
        self._picky = rules.picky
        self._int_bound = _int_bound(rules.max_number_digits)
        # Each value takes a byte or more. Without this bound a small value whose parts are shared (a list
        # of twice the same list of twice the same list ...) would be walked for ever.
        self._budget = rules.max_bytes
        self._parents: list[object] = []

    def visit(self, value: object) -> None:
        self._budget -= 1
        if self._budget < 0:
            raise _Fault(f"more than the {self._rules.max_bytes:,} bytes allowed")
        kind = type(value)
        if value is None or kind is bool:
            return
        if isinstance(value, str) and kind is str:
            _check_string(value, "text")
            self._check_length(value, "text")
        elif isinstance(value, int) and kind is int:
            # Compared, not converted: Python refuses to write out an int of more than 4,300 digits.
            if not -self._int_bound < value < self._int_bound:
                raise _Fault(too_long(self._rules))
        elif isinstance(value, float) and kind is float:
            if not math.isfinite(value):
                raise _Fault(f"{value} is not a JSON number")
        elif kind in _CONTAINERS:
            self._visit_container(value)
        elif isinstance(value, Flaw):
            raise _Fault(value.reason)
        else:
            raise _Fault(f"{_type_name(kind)} is not a JSON type")

    def _visit_container(self, container: object) -> None:
        if len(self._parents) >= self._rules.max_depth:
            circular = any(parent is container for parent in self._parents)
            raise _Fault("circular structure" if circular else too_deep(self._rules))
        steps: Iterable[tuple[str | int, object]] = enumerate(_children(container))
        if isinstance(container, dict):
            for key in container:
                _check_key(key)
                if self._picky:
                    self._check_wishes(key)
            steps = container.items()
        self._parents.append(container)
        step: str | int = 0
        try:
            for step, child in steps:  # noqa: B007 - the handler below needs it
                self.visit(child)
        except _Fault as fault:
            fault.steps.append(step)
            raise
        self._parents.pop()

    def _check_length(self, text: str, what: str) -> None:
        longest = self._rules.max_string
        if longest is not None and len(text) > longest:
            raise _Fault(f"{what} of {len(text):,} characters, more than the {longest:,} allowed")

    def _check_wishes(self, key: str) -> None:
        if key in self._rules.forbidden:
            raise _Fault(f"key {_quoted(key)} is forbidden")
        self._check_length(key, f"key {_quoted(key)}")


def _check_required(value: object, required: tuple[str, ...]) -> None:
    if type(value) is not dict:
        raise _Fault(f"an object with {_keys(required)} is required")
    missing = tuple(key for key in required if key not in value)
    if missing:
        raise _Fault(f"{_keys(missing)} {'is' if len(missing) == 1 else 'are'} required")


def _keys(keys: tuple[str, ...]) -> str:
    return f"key{'' if len(keys) == 1 else 's'} {', '.join(map(_quoted, keys))}"


def _children(container: object) -> Iterable[object]:
    if type(container) is dict:
        return container.values()
    return container if isinstance(container, list | tuple) else ()


def _check_key(key: object) -> None:
    if not isinstance(key, str) or type(key) is not str:
        raise _Fault(f"key of type {_type_name(type(key))}, keys must be str")
    if "\0" in key or not key.isascii():
        _check_string(key, f"key {_quoted(key)}")


def _check_string(text: str, what: str) -> None:
    if "\0" in text:
        raise _Fault(f"{what} holds a NUL character, which PostgreSQL cannot store")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Fault(f"{what} holds a lone surrogate, which is not a character") from None


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{_quoted(step)}]"


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= 64 else text[:63] + "…")


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@lru_cache(maxsize=16)
def _int_bound(digits: int) -> int:
    bound: int = 10**digits
    return bound
