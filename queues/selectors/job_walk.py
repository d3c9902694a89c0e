"""Walking along an index from a place on, over several queues or batches at once.

Each part of a walk is a query that one index answers in the order of the walk; PostgreSQL merges their first rows. So
what is read is bounded by the parts and the page, however long the tables are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Parts that one statement merges. More are asked to be narrowed: each costs a look at an index.
MOST_PARTS = 500


class TooWide(ValueError):
    """The list is too wide to be read at once: the message says what to choose."""


@dataclass(frozen=True, slots=True)
class Walk:
    """An order along which rows are found: by `key`, a field of times or numbers ("" for none), then by `tie`."""

    parts: Sequence["QuerySet[Any]"]
    key: str
    tie: str
    descending: bool

    def rows(
        self, columns: Sequence[str], start: tuple[int, int] | None, limit: int, *, skip: int = 0
    ) -> list[tuple[Any, ...]]:
        """The rows up to `limit` at or after a place, given as the numbers of its key and tie, but for the first ones
        to `skip`: those two, then `columns`."""
        fields = [self.key, self.tie] if self.key else [self.tie]
        sign = "-" if self.descending else ""
        order = [sign + field for field in fields]
        parts = self.from_place(start).parts
        # A union is cut as a whole: each of its parts may hold all of the rows.
        first = slice(skip, limit) if len(parts) == 1 else slice(limit)
        cut = [part.order_by(*order).values_list(*fields, *columns)[first] for part in parts]
        if not cut:
            return []
        merged = cut[0] if len(cut) == 1 else cut[0].union(*cut[1:], all=True).order_by(*order)[skip:limit]
        return [(number(row[0]), *row[1:]) if self.key else (0, *row) for row in merged]

    def from_place(self, start: tuple[int, int] | None) -> "Walk":
        """The rest of the walk, with the row at the place."""
        return self if start is None else self._cut(start, *(("lte", "gt") if self.descending else ("gte", "lt")))

    def to_place(self, end: tuple[int, int] | None) -> "Walk":
        """The walk as far as a place, with the row there."""
        return self if end is None else self._cut(end, *(("gte", "lt") if self.descending else ("lte", "gt")))

    def _cut(self, place: tuple[int, int], far: str, beyond: str) -> "Walk":
        key, tie = place
        if not self.key:
            return replace(self, parts=[part.filter(**{f"{self.tie}__{far}": tie}) for part in self.parts])
        value = moment(key) if self.key.endswith("_at") else key
        # The plain bound on the key is what the index is entered by; the exclusion only settles ties.
        ties = {self.key: value, f"{self.tie}__{beyond}": tie}
        bound = {f"{self.key}__{far}": value}
        return replace(self, parts=[part.filter(**bound).exclude(**ties) for part in self.parts])


def number(value: datetime | int | None) -> int:
    """A key as a whole number: a time as microseconds since 1970."""
    if isinstance(value, datetime):
        return (value - EPOCH) // MICROSECOND
    return int(value or 0)


def moment(value: int) -> datetime:
    """The time of a number; what lies beyond all times is the last of them."""
    try:
        return EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def within_parts(found: Sequence[Any], narrower: str) -> None:
    """Refuse more parts than a statement merges. Raises `TooWide`."""
    if len(found) > MOST_PARTS:
        raise TooWide(f"{len(found):,} at once are too many to merge. {narrower}")
