"""Batches that come again: when they are due, and how their last ones ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from queues import schedules
from queues.models import Batch, Recurring

PAGE_SIZE = 50
# Due times whose outcomes are shown.
OUTCOMES = 20


@dataclass(frozen=True, slots=True)
class Made:
    """A batch that a schedule has made for a due time."""

    id: int
    state: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """One recurring batch. `made` are its last ones, the last first; `source` is empty where it has its own jobs."""

    id: int
    name: str
    queue: str
    handler: str
    source: str
    words: str
    enabled: bool
    next_due_at: datetime | None
    last_due_at: datetime | None
    last_error: str
    made: list[Made]


def schedule(schedule_id: int) -> Schedule | None:
    """One of them."""
    return next(iter(_read(Recurring.objects.filter(pk=schedule_id))), None)


def schedules_page(*, after: str = "") -> tuple[list[Schedule], str]:
    """The schedules that follow a name, and the name after which others do; empty where none does. Two queries."""
    found = _read(Recurring.objects.filter(name__gt=after).order_by("name")[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].name if len(found) > PAGE_SIZE else ""


def _read(rows: QuerySet[Recurring]) -> list[Schedule]:
    # By the index of due times; what was made apart from the schedule has none.
    made = Batch.objects.filter(recurring=OuterRef("pk"), due_at__isnull=False).order_by("-due_at")
    last = ArraySubquery(made.values("pk")[:OUTCOMES])
    found = list(rows.select_related("queue", "crontab", "interval").defer("payloads", "metadata").annotate(last=last))
    fields = ("pk", "state", "due_at")
    batches: Iterable[tuple[int, str, datetime]] = Batch.objects.filter(
        pk__in=[pk for row in found for pk in row.last]
    ).values_list(*fields)
    of = {pk: Made(pk, state, due) for pk, state, due in batches}
    return [
        Schedule(
            row.pk,
            row.name,
            row.queue.name,
            row.handler,
            row.source,
            schedules.in_words(row),
            row.enabled,
            row.next_due_at,
            row.last_due_at,
            row.last_error,
            [of[pk] for pk in row.last if pk in of],
        )
        for row in found
    ]
