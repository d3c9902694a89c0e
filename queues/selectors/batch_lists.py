"""The list of batches, page by page, and how many there are in each state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Q, QuerySet

from queues.domain.states import BatchState
from queues.models import Batch
from queues.selectors.batch_trash import IN_TRASH
from queues.selectors.batches import BEFORE_IT, BatchRow, read_rows
from queues.selectors.counting import capped
from queues.selectors.figures import queue_id

PAGE_SIZE = 50
# What holds a running batch: it still takes jobs, a person has paused it, batches before it go on, or it has not been
# announced to the broker.
STANDINGS = ("open", "paused", "waiting", "pending")
# Deleted, and kept for a while.
TRASHED = "trashed"
# Batches of one state that a tab counts.
COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Which batches a list shows. Parts are shown with their parent only, but each is announced by itself.

    `metadata` are pairs that the batch's metadata must have: a value matches as text, and as the JSON it may be.
    Beside the states there are those of a running batch that something holds: `STANDINGS`.
    """

    state: str = ""
    queue: str = ""
    name: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of a list, newest first."""

    rows: list[BatchRow]
    newer: int | None
    older: int | None


_STANDS = {
    "open": Q(sealed_at=None),
    "paused": Q(paused_at__isnull=False),
    "waiting": Q(Exists(BEFORE_IT)),
    "pending": Q(queued_at=None, sealed_at__isnull=False),
}


def batch_page(query: BatchQuery, *, before: int | None = None, after: int | None = None) -> BatchPage:
    """The page that follows `before` (towards older) or leads up to `after` (towards newer)."""
    rows = _matching(query)
    if after is not None:
        found = read_rows(rows.filter(pk__gt=after).order_by("id")[: PAGE_SIZE + 1])
        more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE][::-1]
        return BatchPage(shown, newer=shown[0].id if more else None, older=shown[-1].id if shown else None)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = read_rows(rows.order_by("-id")[: PAGE_SIZE + 1])
    more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    newer = shown[0].id if before is not None and shown else None
    return BatchPage(shown, newer=newer, older=shown[-1].id if more else None)


def newest_batches(query: BatchQuery, limit: int) -> list[int]:
    """Ids of the newest matching batches, newest first: what a list has not shown yet."""
    return list(_matching(query).order_by("-id").values_list("pk", flat=True)[:limit])


def batch_count(query: BatchQuery) -> int:
    """How many batches match, `COUNTED` + 1 at most."""
    return capped(COUNTED + 1, _matching(query))[0]


def batch_tallies(query: BatchQuery) -> dict[str, int]:
    """How many batches each state and standing has under the other parts of a filter, `COUNTED` + 1 at most."""
    names = ["", *BatchState, *STANDINGS, TRASHED]
    rows = _filtered(query)
    if query.name:
        # No index leads to a part of a name: all names are read, but once.
        told = {f"of_{name}": Count("pk", filter=_in_state(name)) for name in names}
        found = rows.aggregate(**told)
        return {name: min(COUNTED + 1, found[f"of_{name}"]) for name in names}
    return dict(zip(names, capped(COUNTED + 1, *(rows.filter(_in_state(name)) for name in names)), strict=True))


def _matching(query: BatchQuery) -> QuerySet[Batch]:
    return _filtered(query).filter(_in_state(query.state))


def _in_state(state: str) -> Q:
    """Batches of a state or standing; without one all that are not in the trash."""
    if state == TRASHED:
        return Q(parent=None) & IN_TRASH
    if state in STANDINGS:
        shown = Q() if state == "pending" else Q(parent=None)
        return shown & _STANDS[state] & Q(state=BatchState.RUNNING)
    return Q(parent=None) & (Q(state=state) if state else Q()) & ~IN_TRASH


def _filtered(query: BatchQuery) -> QuerySet[Batch]:
    """Batches of any state that match the rest of a filter."""
    rows = Batch.objects.all()
    if query.since is not None:
        rows = rows.filter(created_at__gte=query.since)
    if query.until is not None:
        rows = rows.filter(created_at__lt=query.until)
    if query.queue:
        rows = rows.filter(queue=queue_id(query.queue))
    if query.name:
        rows = rows.filter(name__icontains=query.name)
    for key, value in query.metadata:
        rows = rows.filter(metadata_has(key, value))
    return rows


def metadata_has(key: str, value: str) -> Q:
    """Batches whose metadata has this value under this key: as text, or as the JSON value that it is. By an index."""
    has = Q(metadata__contains={key: value})
    try:
        parsed = json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return has
    return has if isinstance(parsed, str) and parsed == value else has | Q(metadata__contains={key: parsed})


def find_batches(
    *, metadata: Mapping[str, Any] | None = None, queue: str = "", state: str = "", name: str = "", limit: int = 50
) -> list[BatchRow]:
    """The newest batches whose metadata contains all of `metadata` (nested values too), at most `limit`."""
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata: names and their values are needed, not {metadata!r:.60}")
    rows = _matching(BatchQuery(state=state, queue=queue, name=name))
    if metadata:
        rows = rows.filter(metadata__contains=dict(metadata))
    return read_rows(rows.order_by("-id")[:limit])
