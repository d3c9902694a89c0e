"""The filter of the list of queues: what an address means, and the one way to write it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from monitoring import filters
from monitoring.snapshot import QueueLine

KNOWN = ("name", "after")
# Queues of one page of the list, and of the overview.
PAGE, FEW = 100, 30


class Found(NamedTuple):
    """The queues that match a filter, those of them on one page, and whether others follow."""

    all: list[QueueLine]
    shown: list[QueueLine]
    more: bool


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return filters.given(values, KNOWN)


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `Unclear` for one that is too long."""
    given = chosen(filters.pairs(query_string))
    filters.check_lengths(given)
    return urlencode(given)


def find(lines: Sequence[QueueLine], query_string: str) -> Found:
    """The page of a list that is sorted by name."""
    given = chosen(filters.pairs(query_string))
    part, after = given.get("name", "").lower(), given.get("after", "")
    matching = [line for line in lines if part in line.figures.name]
    following = [line for line in matching if line.figures.name > after]
    return Found(matching, following[:PAGE], len(following) > PAGE)


def busiest(lines: Sequence[QueueLine]) -> list[QueueLine]:
    """The few queues that say the most about now, by name: those that wait, run or have dead letters come first."""
    if len(lines) <= FEW:
        return list(lines)
    most = sorted(lines, key=lambda line: (-line.waiting - line.running, -line.rate, -line.dead, line.figures.name))
    return sorted(most[:FEW], key=lambda line: line.figures.name)
