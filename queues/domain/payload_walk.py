"""The rules for one payload, and the exact walk over a Python value that applies them.

Callers import from `queues.domain.payload`, which adds the rules for JSON text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_CONTAINERS: Final = frozenset((dict, list, tuple))
_LONGEST_PATH: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRules:
    """Limits of one payload. Later rules (length of strings, keys) become fields, with a default of none.

    The lower bounds on numbers are what 64-bit integers and floats may need: the fast path of `queues.codec`
    relies on them. Depth ends at 200, where the recursion limits of the JSON libraries come near.
    """

    max_bytes: int = 1024 * 1024
    max_depth: int = 64
    max_number_digits: int = 1000
    max_exponent: int = 1000

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
        _Walk(rules).visit(value)
    except _Fault as fault:
        raise PayloadError(fault.reason, fault.path()) from None


def value_is_deeper(value: object, limit: int) -> bool:
    """Whether containers are nested more than `limit` deep. Level by level, about 50 ns for each value.

    Only for values that have been serialised already: the walk is as long as the text, and no longer.
    """
    level = [value]
    for _ in range(limit + 1):
        if _CONTAINERS.isdisjoint(map(type, level)):
            return False
        parents = [container for container in level if type(container) in _CONTAINERS]
        level = list(chain.from_iterable(map(_children, parents)))
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

    __slots__ = ("_budget", "_int_bound", "_parents", "_rules")

    def __init__(self, rules: PayloadRules) -> None:
        self._rules = rules
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
