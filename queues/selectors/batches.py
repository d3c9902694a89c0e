"""Batches, their exact progress and what went wrong in them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Now

from queues.domain.rates import success_rate
from queues.domain.states import BatchState, ChunkState, HeldWhy
from queues.models import Batch, BatchLink, Chunk
from queues.selectors.expressions import UNENDED

PARTS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch as it was submitted, and how far its life has come. `staged`: a batch before it goes on."""

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
    staged: bool
    queue_paused: bool

    @property
    def standing(self) -> str:
        """In a word: its state, or what keeps a batch that has not ended from running; the first that holds."""
        kept = (
            (self.state is not BatchState.RUNNING, self.state.value),
            (bool(self.stop_reason), "stopping"),
            (self.paused_at is not None, "paused"),
            (self.sealed_at is None, "open"),
            (self.staged, "staged"),
            (self.queue_paused, "queue-paused"),
            (self.started_at is not None, "running"),
            (self.queued_at is None, "pending"),
        )
        return next((word for holds, word in kept if holds), "waiting")


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
        """Succeeded to succeeded, dead and cancelled; None as long as nothing has succeeded or died."""
        return success_rate(self.succeeded, self.dead, self.cancelled)

    @property
    def ran(self) -> int:
        """Jobs that ended by running: these make a rate, and not what somebody cancels or deletes at a stroke."""
        return self.succeeded + self.dead

    @property
    def ended(self) -> int:
        """Jobs that will not run again by themselves."""
        return self.total - self.unended


_PAUSED = Q(queue__paused_at__isnull=False) & (Q(queue__paused_until=None) | Q(queue__paused_until__gt=Now()))
# What goes on before a batch.
BEFORE_IT = BatchLink.objects.filter(after=OuterRef("pk"), before__state=BatchState.RUNNING)
_ROW = [field.name for field in fields(BatchRow)]


def batch(batch_id: int) -> BatchRow | None:
    """One batch."""
    return next(iter(read_rows(Batch.objects.filter(pk=batch_id))), None)


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
    return read_rows(running.order_by("-id")[:limit])


def batch_rows(ids: Collection[int]) -> dict[int, BatchRow]:
    """Several batches at once; those that do not exist are missing."""
    return {row.id: row for row in read_rows(Batch.objects.filter(pk__in=ids))} if ids else {}


def batch_parts(parent_id: int) -> list[BatchRow]:
    """The first `PARTS_SHOWN` parts in order."""
    return read_rows(Batch.objects.filter(parent=parent_id).order_by("part", "id")[:PARTS_SHOWN])


def part_count(parent_id: int) -> int:
    """How many parts a batch has."""
    return Batch.objects.filter(parent=parent_id).count()


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


def read_rows(found: QuerySet[Batch]) -> list[BatchRow]:
    """The rows of a query, in its order."""
    names = ["queue_name" if name == "queue" else name for name in _ROW]
    # A condition may be unknown, where a time is; here it is true or not.
    paused = Case(When(_PAUSED, then=Value(True)), default=Value(False), output_field=BooleanField())
    told = found.annotate(queue_name=F("queue__name"), staged=Exists(BEFORE_IT), queue_paused=paused)
    values: Iterable[tuple[Any, ...]] = told.values_list(*names)
    return [_row(dict(zip(_ROW, value, strict=True))) for value in values]


def _row(values: dict[str, Any]) -> BatchRow:
    return BatchRow(**{**values, "state": BatchState(values["state"])})
