"""Pages of long lists by a time and an id, newest first: never an offset, and a bounded look for rare rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row")
M = TypeVar("M", bound=Model)
PAGE_SIZE = 50
# Rows among which one page looks for those that match, where no index leads to them; the next page goes on there.
LOOK = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list; times are not unique."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and where the pages beside this one begin. `looked` is set when the look had to end before
    the page was full: then more may match further on."""

    rows: list[Row]
    newer: Place | None
    older: Place | None
    looked: bool = False


def page(
    rows: "QuerySet[M]",
    at: str,
    *,
    only: Callable[["QuerySet[M]"], "QuerySet[M]"] | None = None,
    before: Place | None = None,
    after: Place | None = None,
    size: int = PAGE_SIZE,
    look: int = LOOK,
) -> Page[M]:
    """The page that follows `before` (towards older) or leads up to `after` (towards newer).

    An index must give `rows` in the order of `at`; `only` picks among them without one.
    """
    up = after is not None
    order = (at, "pk") if up else (f"-{at}", "-pk")
    start = after or before
    if start is not None:
        rows = _newer(rows, at, start) if up else _older(rows, at, start)
    end, wanted = None, rows
    if only is not None:
        wanted = only(rows)
        last = rows.order_by(*order).values_list(at, "pk")[look - 1 : look]
        end = next((Place(*place) for place in last), None)
        if end is not None:
            beyond = {f"{at}__lte" if up else f"{at}__gte": end.at}
            tie = {at: end.at, "pk__gt" if up else "pk__lt": end.id}
            wanted = wanted.filter(**beyond).exclude(**tie)
    found = list(wanted.order_by(*order)[: size + 1])
    more, shown = len(found) > size, found[:size]
    last_place = _place(shown[-1], at) if shown and more else end
    looked = end is not None and not more
    if up:
        return Page(shown[::-1], last_place, _place(shown[0], at) if shown else after, looked)
    first = _place(shown[0], at) if shown else before
    return Page(shown, first if before is not None else None, last_place, looked)


def newest(rows: "QuerySet[M]", at: str, limit: int) -> list[Place]:
    """Places of the newest rows, newest first."""
    return [Place(*place) for place in rows.order_by(f"-{at}", "-pk").values_list(at, "pk")[:limit]]


def _older(rows: "QuerySet[M]", at: str, place: Place) -> "QuerySet[M]":
    # The plain bound on the time is what the index is entered by; the exclusion only settles ties.
    return rows.filter(**{f"{at}__lte": place.at}).exclude(**{at: place.at, "pk__gte": place.id})


def _newer(rows: "QuerySet[M]", at: str, place: Place) -> "QuerySet[M]":
    return rows.filter(**{f"{at}__gte": place.at}).exclude(**{at: place.at, "pk__lte": place.id})


def _place(row: Any, at: str) -> Place:
    return Place(getattr(row, at), row.pk)
