"""The columns of a CSV file as keys of payloads. Pure.

Numbers and JSON go into the payload as they are written, digit by digit.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from queues.domain.payload import JsonText

Shape = Callable[[dict[str, str]], Any]
LONGEST_KEY = 200
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class Kind(StrEnum):
    """What a cell becomes. An empty one is null as a number or JSON, and an empty text as text."""

    TEXT = "text"
    NUMBER = "number"
    JSON = "json"
    OMIT = "omit"


class BadCell(ValueError):
    """A cell is not of its column's kind: the message names the column and says what to do."""


class BadMapping(ValueError):
    """The columns cannot be taken so: the message says why."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the header, the key it becomes, and as what."""

    name: str
    key: str
    kind: Kind = Kind.TEXT


def check(columns: Iterable[Column]) -> None:
    """Whether payloads can be made of these columns. Raises `BadMapping`."""
    taken: dict[str, str] = {}
    for column in columns:
        if column.kind is Kind.OMIT:
            continue
        if not column.key:
            raise BadMapping(f"column {column.name}: give it a key, or leave it out")
        if len(column.key) > LONGEST_KEY:
            raise BadMapping(f"column {column.name}: a key has at most {LONGEST_KEY} characters")
        if column.key in taken:
            raise BadMapping(f"columns {taken[column.key]} and {column.name} have the same key {column.key}")
        taken[column.key] = column.name
    if not taken:
        raise BadMapping("every column is left out: nothing would be in the payloads")


def shape_of(columns: Iterable[Column]) -> Shape:
    """What makes a payload of a row."""
    wanted = [(column, json.dumps(column.key)) for column in columns if column.kind is not Kind.OMIT]

    def shape(row: Mapping[str, str]) -> JsonText:
        return JsonText("{" + ",".join(f"{key}:{_cell(column, row[column.name])}" for column, key in wanted) + "}")

    return shape


def _cell(column: Column, text: str) -> str:
    if column.kind is Kind.TEXT:
        return json.dumps(text, ensure_ascii=False)
    bare = text.strip()
    if not bare:
        return "null"
    if column.kind is Kind.NUMBER:
        if not _NUMBER.fullmatch(bare):
            raise BadCell(f"column {column.name}: {bare!r:.60} is not a number; correct it, or take the column as text")
        return bare
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        word = f"{bare!r:.60}"
        raise BadCell(f"column {column.name}: {word} is not JSON; correct it, or take the column as text") from None
    return bare
