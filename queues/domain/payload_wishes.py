"""What a queue asks of its payloads beyond what every queue does, as a person writes it: a JSON object."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from queues.domain.payload_walk import DEFAULT_RULES, PayloadRules

# Names of keys in one list, and characters of one: a rule is read for each enqueue.
MOST_KEYS = 100
LONGEST_KEY = 200


def parse_wishes(wishes: object) -> PayloadRules:
    """The rules that a queue's `payload_rules` mean. ValueError that names what is wrong with them.

    A queue may narrow what every queue takes, never widen it: files are read, and runs are loaded, by those bounds.
    """
    if not isinstance(wishes, Mapping):
        raise ValueError(f"an object is needed, not {type(wishes).__name__}")
    given = {}
    for name, value in wishes.items():
        if name not in _READERS:
            raise ValueError(f"{name!r} is no rule; there are {', '.join(_READERS)}")
        given[name] = _READERS[name](name, value)
    both = given.get("forbidden", frozenset()) & set(given.get("required", ()))
    if both:
        raise ValueError(f"required: {min(both)!r} is forbidden as well")
    return PayloadRules(**{**asdict(DEFAULT_RULES), **given}) if given else DEFAULT_RULES


@lru_cache(maxsize=64)
def rules_of(text: str | None) -> PayloadRules:
    """The rules of a queue whose row says this, as JSON text; None for a queue without any. ValueError."""
    return parse_wishes(json.loads(text)) if text else DEFAULT_RULES


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name}: a whole number of {least:,} to {most:,}, not {value!r:.40}")
        return value

    return read


def _names(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(type(key) is str for key in value):
        raise ValueError(f"{name}: a list of keys, not {value!r:.40}")
    if not 1 <= len(value) <= MOST_KEYS:
        raise ValueError(f"{name}: 1 to {MOST_KEYS} keys, not {len(value)}")
    for key in value:
        if len(key) > LONGEST_KEY or "\0" in key or key != key.encode(errors="ignore").decode():
            raise ValueError(f"{name}: {key!r:.40} is no key of at most {LONGEST_KEY} characters")
        if value.count(key) > 1:
            raise ValueError(f"{name}: {key!r} is there twice")
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "max_bytes": _whole(2, DEFAULT_RULES.max_bytes),
    "max_depth": _whole(1, DEFAULT_RULES.max_depth),
    "max_string": _whole(1, DEFAULT_RULES.max_bytes),
    "forbidden": lambda name, value: frozenset(_names(name, value)),
    "required": lambda name, value: tuple(_names(name, value)),
}
