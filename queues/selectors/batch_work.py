"""How the work of one batch went over time: what ended when, and the runs that did it. Bounded reads."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Q, Sum

from queues import store
from queues.domain.operating import Action
from queues.models import AuditEntry, Batch, Chunk, DeadLetter, JobResult, Operation
from queues.selectors import birth, timeline
from queues.selectors.activity import Entry
from queues.selectors.expressions import time_bucket

# Chunks whose runs are looked for, and runs that are read.
CHUNKS = 20_000
RUNS = 5_000
EVENTS = 20
# No index leads from a batch to the operations on its jobs: the newest are looked through, and of each so many items.
OPERATIONS_LOOKED_AT = 300
ITEMS_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run that held chunks of the batch. Its counts are of all its jobs, those of other batches included."""

    id: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    state: str
    claimed: int
    succeeded: int
    failed: int
    dead: int


@dataclass(frozen=True, slots=True)
class BatchRuns:
    """The newest runs, oldest first, and how many there are."""

    rows: list[BatchRun]
    total: int


@dataclass(frozen=True, slots=True)
class Details:
    """What a batch was told to do, beside its jobs."""

    chunk_size: int
    stage: int
    idempotency_key: str
    callback_handler: str
    callback_queue: str
    callback_each_end: bool
    then_handler: str
    then_queue: str
    generation: int
    queued_at: datetime | None
    paused_at: datetime | None
    paused_by: str
    pause_reason: str
    error_digest: dict[str, Any] | None


def holds_cancelled(batch_id: int) -> bool:
    """Whether cancelled jobs of a batch or of its parts are out of the archive still. Reads its chunks at most."""
    return Chunk.objects.filter(batch__in=members(batch_id), archived_at=None, cancelled__gt=0).exists()


def members(batch_id: int) -> list[int]:
    """The batch and its parts."""
    return [batch_id, *Batch.objects.filter(parent=batch_id).order_by("pk").values_list("pk", flat=True)]


def ended_by_time(batch_id: int, seconds: int) -> list[tuple[datetime, int]]:
    """How many jobs ended in each stretch of so many seconds, in order: as their chunks were finished or they died."""
    ids, found = members(batch_id), defaultdict[datetime, int](int)
    chunks: Any = (
        Chunk.objects.filter(batch__in=ids, finished_at__isnull=False)
        .values_list(time_bucket("finished_at", seconds))
        .annotate(jobs=Sum("succeeded") + Sum("cancelled"))
    )
    deaths: Any = (
        DeadLetter.objects.filter(batch__in=ids).values_list(time_bucket("died_at", seconds)).annotate(jobs=Count("pk"))
    )
    for rows in (chunks, deaths):
        for start, jobs in rows:
            found[start.astimezone(UTC)] += jobs
    return sorted(found.items())


def batch_runs(batch_id: int) -> BatchRuns:
    """Its runs."""
    ids = members(batch_id)
    rows = store.rows("batch_runs", batches=ids, chunks=max(1, CHUNKS // len(ids)), limit=RUNS)
    runs = [BatchRun(row[0], row[1] or "", _utc(row[2]), row[3] and _utc(row[3]), *row[4:9]) for row in rows]
    return BatchRuns(runs[::-1], rows[0][9] if rows else 0)


def details(batch_id: int) -> Details | None:
    """The rest of what is known of a batch."""
    row = Batch.objects.select_related("callback_queue", "then_queue").filter(pk=batch_id).first()
    if row is None:
        return None
    return Details(
        row.chunk_size,
        row.stage,
        row.idempotency_key or "",
        row.callback_handler,
        row.callback_queue.name if row.callback_queue else "",
        row.callback_each_end,
        row.then_handler,
        row.then_queue.name if row.then_queue else "",
        row.generation,
        row.queued_at,
        row.paused_at,
        row.paused_by,
        row.pause_reason,
        row.error_digest,
    )


def keeps_results(batch_id: int) -> bool:
    """Whether there can be results of a batch: its queue keeps them, or some are left of a time when it did."""
    if Batch.objects.filter(pk=batch_id, queue__keep_results__isnull=False).exists():
        return True
    born = birth.span(members(batch_id))
    return born is not None and JobResult.objects.filter(pk__range=(born.first, born.last)).exists()


def events(batch_id: int, since: datetime) -> timeline.Page[Entry]:
    """The newest changes that somebody has made to the batch, or to jobs of it and others: then the target is another.

    `looked` when the look ended before its beginning.
    """
    rows = AuditEntry.deeds().filter(at__gte=since)
    own = Q(target=f"batch {batch_id}") | Q(pk__in=_entries_of_operations(batch_id))
    page = timeline.page(rows, "at", only=lambda found: found.filter(own), size=EVENTS)
    return timeline.Page([_entry(row) for row in page.rows], None, page.older, page.looked)


def _entries_of_operations(batch_id: int) -> list[int]:
    """The audit entries of the newest operations that were about jobs of the batch, by whatever filter."""
    newest = Operation.objects.order_by("-pk").values_list("pk", "action", "audit_id")[:OPERATIONS_LOOKED_AT]
    entries = {pk: entry for pk, action, entry in newest if action in set(Action) and entry is not None}
    ids = members(batch_id)
    if not entries or (born := birth.span(ids)) is None:
        return []
    found = store.rows(
        "batch_operations",
        operations=list(entries),
        batches=ids,
        first=born.first,
        last=born.last,
        alone=born.alone,
        items=ITEMS_LOOKED_AT,
    )
    return [entries[pk] for (pk,) in found]


def _entry(row: Any) -> Entry:
    outcome = row.outcome if isinstance(row.outcome, dict) else {}
    return Entry(row.pk, row.at, row.actor, row.source, row.action, row.target, row.reason, outcome)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
