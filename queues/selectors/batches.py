"""Batches, their exact progress and what went wrong in them."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from queues.domain.rates import success_rate
from queues.domain.states import BatchState, ChunkState, HeldWhy
from queues.models import Batch, BatchLink, Chunk
from queues.selectors.batch_trash import IN_TRASH
from queues.selectors.counting import capped
from queues.selectors.expressions import UNENDED
from queues.selectors.figures import queue_id

PAGE_SIZE = 50
PARTS_SHOWN = 200
# What holds a running batch: it still takes jobs, a person has paused it, batches before it go on, or it has not been
# announced to the broker.
STANDINGS = ("open", "paused", "waiting", "pending")
# Deleted, and kept for a while.
TRASHED = "trashed"
# Batches of one state that a tab counts.
COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch as it was submitted, and how far its life has come."""

    id: int
    name: str
    queue: str
    handler: str
    state: BatchState
    stop_reason: str
    failure_mode: str
    total: int
    is_parent: bool
    parent_id: int | None
    part: int | None
    created_at: datetime
    created_by: str
    sealed_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    paused_at: datetime | None


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The jobs of a batch by where they stand; the six together are the batch's total."""

    succeeded: int = 0
    running: int = 0
    waiting: int = 0
    dead: int = 0
    cancelled: int = 0
    trashed: int = 0

    def __add__(self, other: "BatchCounts") -> "BatchCounts":
        """The counts of both, for a parent of parts."""
        return BatchCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(BatchCounts)))

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(getattr(self, field.name) for field in fields(self))

    @property
    def unended(self) -> int:
        """Jobs that still have to run."""
        return self.waiting + self.running

    @property
    def success_rate(self) -> float | None:
        """Succeeded to succeeded, dead and cancelled; None as long as nothing has ended."""
        return success_rate(self.succeeded, self.dead, self.cancelled)

    @property
    def ended(self) -> int:
        """Jobs that will not run again by themselves."""
        return self.total - self.unended


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


_ROW = [field.name for field in fields(BatchRow)]
_BEFORE = BatchLink.objects.filter(after=OuterRef("pk"), before__state=BatchState.RUNNING)
_STANDS = {
    "open": Q(sealed_at=None),
    "paused": Q(paused_at__isnull=False),
    "waiting": Q(Exists(_BEFORE)),
    "pending": Q(queued_at=None, sealed_at__isnull=False),
}


def batch(batch_id: int) -> BatchRow | None:
    """One batch."""
    return next(iter(_rows(Batch.objects.filter(pk=batch_id))), None)


def batch_of_key(key: str) -> int | None:
    """The batch that holds an idempotency key."""
    return Batch.objects.filter(idempotency_key=key).values_list("pk", flat=True).first()


def batch_metadata(batch_id: int) -> dict[str, Any]:
    """What the submitter wrote to the batch."""
    found = Batch.objects.filter(pk=batch_id).values_list("metadata", flat=True).first()
    return found if isinstance(found, dict) else {}


def batches_in_progress(limit: int) -> list[BatchRow]:
    """The newest running batches, at most `limit`; a part is counted in its parent."""
    running = Batch.objects.filter(state=BatchState.RUNNING, parent=None)
    return _rows(running.order_by("-id")[:limit])


def batch_rows(ids: Collection[int]) -> dict[int, BatchRow]:
    """Several batches at once; those that do not exist are missing."""
    return {row.id: row for row in _rows(Batch.objects.filter(pk__in=ids))} if ids else {}


def batch_page(query: BatchQuery, *, before: int | None = None, after: int | None = None) -> BatchPage:
    """The page that follows `before` (towards older) or leads up to `after` (towards newer)."""
    rows = _matching(query)
    if after is not None:
        found = _rows(rows.filter(pk__gt=after).order_by("id")[: PAGE_SIZE + 1])
        more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE][::-1]
        return BatchPage(shown, newer=shown[0].id if more else None, older=shown[-1].id if shown else None)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = _rows(rows.order_by("-id")[: PAGE_SIZE + 1])
    more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    newer = shown[0].id if before is not None and shown else None
    return BatchPage(shown, newer=newer, older=shown[-1].id if more else None)


def newest_batches(query: BatchQuery, limit: int) -> list[int]:
    """Ids of the newest matching batches, newest first: what a list has not shown yet."""
    return list(_matching(query).order_by("-id").values_list("pk", flat=True)[:limit])


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


def batch_parts(parent_id: int) -> list[BatchRow]:
    """The first `PARTS_SHOWN` parts in order."""
    return _rows(Batch.objects.filter(parent=parent_id).order_by("part", "id")[:PARTS_SHOWN])


def batch_counts(ids: Collection[int], *, recount: Collection[int] = ()) -> dict[int, BatchCounts]:
    """Exact counts of several batches, in two queries however many they are.

    An unfinished batch is the sum over its chunks and a parent the sum over its parts. A finished one has
    its frozen counters, unless it is named in `recount`: then its chunks are summed as well.
    """
    if not ids:
        return {}
    found = Batch.objects.filter(Q(pk__in=ids) | Q(parent__in=ids)).only(
        "id", "parent_id", "is_parent", "state", "total", "succeeded", "dead", "cancelled"
    )
    leaves = [row for row in found if not row.is_parent]
    counts = _chunk_counts([row.pk for row in leaves if not _frozen(row) or row.pk in recount])
    sums = {batch_id: BatchCounts() for batch_id in ids}
    for row in leaves:
        own = counts.get(row.pk) or (_frozen(row) or BatchCounts())
        for target in (row.pk, row.parent_id):
            if target in sums:
                sums[target] += own
    return sums


def _frozen(row: Batch) -> BatchCounts | None:
    if row.state == BatchState.RUNNING or row.succeeded is None:
        return None
    dead, cancelled = row.dead or 0, row.cancelled or 0
    rest = max(0, row.total - row.succeeded - dead - cancelled)
    return BatchCounts(succeeded=row.succeeded, dead=dead, cancelled=cancelled, trashed=rest)


def _chunk_counts(ids: Collection[int]) -> dict[int, BatchCounts]:
    if not ids:
        return {}
    waiting = Q(state__in=[ChunkState.READY, ChunkState.HELD])
    parked = Q(state=ChunkState.PARKED)
    rows = (
        Chunk.objects.filter(batch__in=ids)
        .values_list("batch_id")
        .annotate(
            done=Sum("succeeded"),
            running=Sum(UNENDED, filter=Q(state=ChunkState.LEASED)),
            waiting=Sum(UNENDED, filter=waiting),
            # Dead letters that went to the archive have ended, and stay dead.
            dead=Sum("size", filter=Q(state__in=[ChunkState.PARKED, ChunkState.CANCELLED], held_why=HeldWhy.DEAD)),
            stopped=Sum("cancelled", filter=~Q(held_why=HeldWhy.DEAD)),
            trashed=Sum("size", filter=parked & Q(held_why=HeldWhy.TRASHED)),
        )
    )
    return {batch_id: BatchCounts(*(number or 0 for number in numbers)) for batch_id, *numbers in rows}


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
    return _rows(rows.order_by("-id")[:limit])


def _rows(found: QuerySet[Batch]) -> list[BatchRow]:
    names = ["queue_name" if name == "queue" else name for name in _ROW]
    values: Iterable[tuple[Any, ...]] = found.annotate(queue_name=F("queue__name")).values_list(*names)
    return [_row(dict(zip(_ROW, value, strict=True))) for value in values]


def _row(values: dict[str, Any]) -> BatchRow:
    return BatchRow(**{**values, "state": BatchState(values["state"])})
