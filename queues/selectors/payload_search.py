"""What a payload must hold to match `key=value`: the pieces of JSON that may be meant. Pure."""

import json

# Deeper keys are not sensible to type, and each level is a bracket more to match.
DEEPEST = 16


def holds(key: str, value: str) -> list[str]:
    """The JSON objects one of which a payload must contain.

    A dotted key is both one key and a path. A value matches as text, and as the JSON that it is: written as it was
    typed, so that a long number keeps its digits.
    """
    values = [json.dumps(value)]
    if _is_json(value):
        values.append(value)
    path = key.split(".")
    paths = [[key]]
    if 1 < len(path) <= DEEPEST and all(path):
        paths.append(path)
    return [_nested(keys, text) for keys in paths for text in values]


def _nested(keys: list[str], text: str) -> str:
    opening = "".join(f"{{{json.dumps(key)}:" for key in keys)
    return opening + text + "}" * len(keys)


def _is_json(text: str) -> bool:
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=_bounded)
    except (ValueError, RecursionError):
        return False
    # A word in quotes is JSON as well; as text it is already among the values, with its quotes.
    return not isinstance(found, str) or text[:1] == '"' or text[:1] in "-0123456789"


def _refuse(text: str) -> None:
    raise ValueError(text)


def _bounded(text: str) -> str:
    """A number that PostgreSQL can hold: it refuses exponents beyond 131,071."""
    exponent = text.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > 1_000:
        raise ValueError(text)
    return text
