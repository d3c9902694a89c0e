"""Batches that come again: when they are due, and how their last ones ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from queues import schedules
from queues.models import Batch, Recurring

PAGE_SIZE = 50
# Batches whose outcomes are shown.
OUTCOMES = 20


@dataclass(frozen=True, slots=True)
class Made:
    """A batch of a schedule: made for the due time `at`, or then by hand."""

    id: int
    state: str
    at: datetime
    by_hand: bool


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

    @property
    def last_by_hand(self) -> datetime | None:
        """When it was run by hand, where that was after its last due time."""
        last = self.made[0] if self.made else None
        if last is None or not last.by_hand or (self.last_due_at is not None and self.last_due_at > last.at):
            return None
        return last.at


def schedule(schedule_id: int) -> Schedule | None:
    """One of them."""
    return next(iter(_read(Recurring.objects.filter(pk=schedule_id))), None)


def schedules_page(*, after: str = "") -> tuple[list[Schedule], str]:
    """The schedules that follow a name, and the name after which others do; empty where none does. Two queries."""
    found = _read(Recurring.objects.filter(name__gt=after).order_by("name")[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].name if len(found) > PAGE_SIZE else ""


def _read(rows: QuerySet[Recurring]) -> list[Schedule]:
    made = Batch.objects.filter(recurring=OuterRef("pk")).values("pk")
    # By the index of due times. What was made by hand has none; ordered by number alone, all batches would be walked
    # over in search of the few.
    last = ArraySubquery(made.filter(due_at__isnull=False).order_by("-due_at")[:OUTCOMES])
    by_hand = ArraySubquery(made.filter(due_at__isnull=True).order_by("due_at", "-pk")[:OUTCOMES])
    lean = rows.select_related("queue", "crontab", "interval").defer("payloads", "metadata")
    found = list(lean.annotate(last=last, by_hand=by_hand))
    batches: Iterable[tuple[int, str, datetime | None, datetime]] = Batch.objects.filter(
        pk__in=[pk for row in found for pk in (*row.last, *row.by_hand)]
    ).values_list("pk", "state", "due_at", "created_at")
    of = {pk: Made(pk, state, due or created, due is None) for pk, state, due, created in batches}
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
            _newest(of[pk] for pk in (*row.last, *row.by_hand) if pk in of),
        )
        for row in found
    ]


def _newest(made: Iterable[Made]) -> list[Made]:
    return sorted(made, key=lambda one: (one.at, one.id), reverse=True)[:OUTCOMES]
