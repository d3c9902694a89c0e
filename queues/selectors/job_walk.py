"""Walking along an index from a place on, over several queues or batches at once.

Each part of a walk is a query that one index answers in the order of the walk; PostgreSQL merges their first rows. So
what is read is bounded by the parts and the page, however long the tables are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import Field, Q, QuerySet, Value
from django.db.models.expressions import Combinable

from queues import store
from queues.sql import statement

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Parts that one statement merges. More are asked to be narrowed: each costs a look at an index.
MOST_PARTS = 500


class TooWide(ValueError):
    """The list is too wide to be read at once: the message says what to choose."""


class Place(NamedTuple):
    """A place in a list: the key and id of a chunk (0 for what is not found by its chunk), and a job of it."""

    key: int
    chunk: int
    job: int


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands in a statement for one of the values by which parts differ."""

    place: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows of a query, apart for each of some `values` of its `columns`: one part, and one look at an index, for
    each. Without columns, all of the rows are the one part."""

    rows: "QuerySet[Any]"
    columns: tuple[str, ...] = ()
    values: Sequence[tuple[int, ...]] = ((),)

    def having(self, change: Callable[["QuerySet[Any]"], "QuerySet[Any]"]) -> "Parts":
        """The parts of the changed query."""
        return replace(self, rows=change(self.rows))

    def read(
        self,
        pick: Callable[["QuerySet[Any]"], "QuerySet[Any]"],
        around: str = "parts_read",
        *,
        each: str = "",
        **more: Any,
    ) -> list[tuple[Any, ...]]:
        """What `pick` selects of each part: within the statement `each` one, and within that `around` all of them,
        of which `more` are pieces.

        The statement of one part is made once and repeated as text: to make each anew took longer than to run it.
        """
        slots = {column: Value(Slot(place), output_field=Field()) for place, column in enumerate(self.columns)}
        try:
            text, params = pick(self.rows.filter(**slots)).query.sql_with_params()
        except EmptyResultSet:
            return []
        if not self.values:
            return []
        part = statement(each).format(part=text) if each else text
        filled = [one[param.place] if isinstance(param, Slot) else param for one in self.values for param in params]
        return store.select(around, filled, parts=" UNION ALL ".join([f"({part})"] * len(self.values)), **more)

    def counts(self, order: Sequence[str], most: int, jobs: Combinable) -> list[tuple[int, int]]:
        """How many rows each part has and the sum of their `jobs`, of at most so many, read in an order."""
        return self.read(
            lambda rows: rows.annotate(counted=jobs).order_by(*order).values_list("counted")[:most], each="part_jobs"
        )

    def total(self, order: Sequence[str], most: int) -> int:
        """How many rows there are in all, read in an order; counting ends at `most`."""
        found = self.read(lambda rows: rows.order_by(*order).values_list("pk")[:most], "parts_total", most=most)
        return int(found[0][0]) if found else 0


@dataclass(frozen=True, slots=True)
class Walk:
    """An order along which rows are found: by `key`, a field of times or numbers ("" for none), then by `tie`."""

    parts: Parts
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
        ways = ", ".join(f"{place + 1} {'DESC' if self.descending else 'ASC'}" for place in range(len(fields)))
        # A union is cut as a whole: each of its parts may hold all of the rows.
        found = self.from_place(start).parts.read(
            lambda rows: rows.order_by(*order).values_list(*fields, *columns)[:limit],
            "parts_walked",
            order=ways,
            limit=limit - skip,
            skip=skip,
        )
        return [(number(row[0]), *row[1:]) if self.key else (0, *row) for row in found]

    def sift(
        self, wanted: Q, columns: Sequence[str], start: tuple[int, int] | None, limit: int, most: int
    ) -> tuple[list[tuple[Any, ...]], tuple[int, int] | None]:
        """As `rows`, but only those that meet a condition of which no index tells, among the next `most` ones; and
        where the look ended, None at the end of the walk. The server reads the others, not we."""
        ahead = self.rows((), start, most, skip=most - 1)
        near = self.to_place(ahead[0][:2] if ahead else None)
        met = replace(near, parts=near.parts.having(lambda rows: rows.filter(wanted)))
        page = met.rows(columns, start, limit)
        last = page[-1] if len(page) == limit else ahead[0] if ahead else None
        return page, last and (last[0], last[1])

    def from_place(self, start: tuple[int, int] | None) -> "Walk":
        """The rest of the walk, with the row at the place."""
        return self if start is None else self._cut(start, *(("lte", "gt") if self.descending else ("gte", "lt")))

    def to_place(self, end: tuple[int, int] | None) -> "Walk":
        """The walk as far as a place, with the row there."""
        return self if end is None else self._cut(end, *(("gte", "lt") if self.descending else ("lte", "gt")))

    def _cut(self, place: tuple[int, int], far: str, beyond: str) -> "Walk":
        key, tie = place
        if not self.key:
            return replace(self, parts=self.parts.having(lambda rows: rows.filter(**{f"{self.tie}__{far}": tie})))
        value = moment(key) if self.key.endswith("_at") else key
        # The plain bound on the key is what the index is entered by; the exclusion only settles ties.
        ties = {self.key: value, f"{self.tie}__{beyond}": tie}
        bound = {f"{self.key}__{far}": value}
        return replace(self, parts=self.parts.having(lambda rows: rows.filter(**bound).exclude(**ties)))


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
