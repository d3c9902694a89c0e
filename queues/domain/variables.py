"""What differs between messages of one cause: the words in whose place there is now this, now that. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LOOKED_AT: Final = 400
_LONGEST: Final = 80
_PLACES: Final = 4
_VALUES: Final = 5


@dataclass(frozen=True, slots=True)
class Variable:
    """One place in the message: the words before it, how many values it has, and the most frequent of them."""

    after: str
    distinct: int
    values: list[tuple[str, int]]


def variables(messages: Iterable[str]) -> list[Variable]:
    """The first places at which messages of the commonest shape (so many words) differ."""
    split = [message[:_LOOKED_AT].split() for message in messages]
    if not split:
        return []
    length = Counter(map(len, split)).most_common(1)[0][0]
    columns = [Counter(column) for column in zip(*(words for words in split if len(words) == length), strict=True)]
    found: list[Variable] = []
    for place, values in enumerate(columns):
        if len(values) > 1 and len(found) < _PLACES:
            top = [(word[:_LONGEST], count) for word, count in values.most_common(_VALUES)]
            found.append(Variable(_before(columns, place), len(values), top))
    return found


def _before(columns: list[Counter[str]], place: int) -> str:
    """Up to three words that are the same in all messages and stand before this place."""
    words: list[str] = []
    for values in reversed(columns[max(0, place - 3) : place]):
        if len(values) > 1:
            break
        words.append(next(iter(values)))
    return " ".join(reversed(words))[-_LONGEST:]
