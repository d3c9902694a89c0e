"""The trash: deleted jobs that can still be brought back, the latest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from queues.models import Batch, TrashedJob
from queues.selectors import timeline
from queues.selectors.figures import queue_id

COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class TrashQuery:
    """Which deleted jobs are meant; a parent batch stands for its parts."""

    queue: str = ""
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class TrashRow:
    """A deleted job. `was` is the state that it gets back; `until` is when it is gone for good."""

    job_id: int
    queue: str
    batch_id: int | None
    handler: str
    was: str
    error_class: str
    message: str
    deleted_by: str
    reason: str
    operation_id: int | None
    deleted_at: datetime
    until: datetime


def trash_page(
    query: TrashQuery, *, before: timeline.Place | None = None, after: timeline.Place | None = None
) -> timeline.Page[TrashRow]:
    """One page, the latest deletion first."""
    found = timeline.page(_matching(query).select_related("queue"), "deleted_at", before=before, after=after)
    return timeline.Page([_row(row) for row in found.rows], found.newer, found.older)


def trash_count(query: TrashQuery) -> int:
    """How many match; counting ends after `COUNTED` + 1."""
    return _matching(query)[: COUNTED + 1].count()


def kept() -> timedelta:
    """How long a deleted job can be brought back."""
    return timedelta(seconds=settings.TRASH_AFTER)


def _matching(query: TrashQuery) -> "QuerySet[TrashedJob]":
    rows = TrashedJob.objects.all()
    if query.queue:
        rows = rows.filter(queue=queue_id(query.queue))
    if query.batch is not None:
        parts = list(Batch.objects.filter(parent=query.batch).values_list("pk", flat=True))
        rows = rows.filter(batch__in=[query.batch, *parts]) if parts else rows.filter(batch=query.batch)
    return rows


def _row(row: TrashedJob) -> TrashRow:
    letter = row.letter or {}
    return TrashRow(
        job_id=row.pk,
        queue=row.queue.name,
        batch_id=row.batch_id,
        handler=row.handler,
        was=row.was,
        error_class=letter.get("error_class", ""),
        message=letter.get("message", ""),
        deleted_by=row.deleted_by,
        reason=row.reason,
        operation_id=row.operation_id,
        deleted_at=row.deleted_at,
        until=row.deleted_at + kept(),
    )
