"""Dead letters: lists by time of death, one job in full, and their causes."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet

from queues.domain.fingerprint import NONE, stored
from queues.models import Batch, DeadLetter
from queues.selectors.figures import queue_id

PAGE_SIZE = 50
# Letters that a grouping by cause may read; of more, the newest.
GROUPED = 20_000
CAUSES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A job that waits for a person."""

    job_id: int
    queue: str
    batch_id: int | None
    batch_name: str
    handler: str
    fingerprint: str
    reason: str
    error_class: str
    message: str
    attempts: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters are meant: all that match every given part. A parent batch stands for its parts, a
    fingerprint `none` for letters without one, `until` leaves out what died later, `since` what died before, and
    `text` is looked for in the error."""

    queue: str = ""
    batch: int | None = None
    fingerprint: str = ""
    until: datetime | None = None
    handler: str = ""
    reason: str = ""
    text: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list; times of death are not unique."""

    died_at: datetime
    job_id: int


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """One page of a list, the latest death first."""

    rows: list[DeadLetterRow]
    newer: Place | None
    older: Place | None


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters of one fingerprint (`none` for those without), with the last one of them as sample."""

    fingerprint: str
    error_class: str
    message: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    sample_job: int


@dataclass(frozen=True, slots=True)
class Causes:
    """The most frequent causes; `exact` is false when only the newest letters were read."""

    rows: list[Cause]
    exact: bool


_ROW = [field.name for field in fields(DeadLetterRow)]


def dead_letter(job_id: int) -> DeadLetterRow | None:
    """One dead letter."""
    return next(iter(_rows(DeadLetter.objects.filter(pk=job_id))), None)


def dead_letters_of(job_ids: Iterable[int]) -> list[DeadLetterRow]:
    """Those of the named jobs that are dead letters, the latest death first."""
    return _rows(DeadLetter.objects.filter(pk__in=list(job_ids)).order_by("-died_at", "-job_id"))


def dead_letter_count(query: DeadLetterQuery, limit: int | None = None) -> int:
    """How many match; with a limit, counting ends there."""
    rows = matching_letters(query)
    return rows.count() if limit is None else rows[:limit].count()


def dead_letter_page(
    query: DeadLetterQuery, *, before: Place | None = None, after: Place | None = None
) -> DeadLetterPage:
    """The page that follows `before` (towards older) or leads up to `after` (towards newer)."""
    rows = matching_letters(query)
    if after is not None:
        newer = rows.filter(died_at__gte=after.died_at).exclude(died_at=after.died_at, job_id__lte=after.job_id)
        found = _rows(newer.order_by("died_at", "job_id")[: PAGE_SIZE + 1])
        more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE][::-1]
        return DeadLetterPage(shown, _place(shown[:1] if more else []), _place(shown[-1:]))
    if before is not None:
        rows = _older_than(rows, before)
    found = _rows(rows.order_by("-died_at", "-job_id")[: PAGE_SIZE + 1])
    more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    return DeadLetterPage(shown, _place(shown[:1] if before is not None else []), _place(shown[-1:] if more else []))


def newest_dead_letters(query: DeadLetterQuery, limit: int) -> list[Place]:
    """Places of the newest matching letters, newest first: what a list has not shown yet."""
    places = matching_letters(query).order_by("-died_at", "-job_id").values_list("died_at", "job_id")
    return [Place(died_at, job_id) for died_at, job_id in places[:limit]]


def causes(query: DeadLetterQuery) -> Causes:
    """Matching letters grouped by fingerprint, the most frequent first."""
    groups = list(
        newest_of(matching_letters(query), GROUPED + 1)
        .values("fingerprint")
        .annotate(count=Count("pk"), first_at=Min("died_at"), last_at=Max("died_at"), sample_job=Max("job_id"))
        .order_by("-count", "-last_at")
    )
    shown = groups[:CAUSES_SHOWN]
    samples = {row.job_id: row for row in dead_letters_of(group["sample_job"] for group in shown)}
    rows = [
        Cause(
            **(group | {"fingerprint": group["fingerprint"] or NONE}),
            error_class=sample.error_class,
            message=sample.message,
            reason=sample.reason,
        )
        for group in shown
        if (sample := samples.get(group["sample_job"]))
    ]
    return Causes(rows, exact=sum(group["count"] for group in groups) <= GROUPED)


def _older_than(rows: QuerySet[DeadLetter], place: Place) -> QuerySet[DeadLetter]:
    # The plain bound on `died_at` is what the index is entered by; the exclusion only settles ties.
    return rows.filter(died_at__lte=place.died_at).exclude(died_at=place.died_at, job_id__gte=place.job_id)


def _place(rows: list[DeadLetterRow]) -> Place | None:
    return Place(rows[0].died_at, rows[0].job_id) if rows else None


def matching_letters(query: DeadLetterQuery) -> QuerySet[DeadLetter]:
    """The rows that a query means."""
    rows = DeadLetter.objects.all()
    if query.queue:
        rows = rows.filter(queue=queue_id(query.queue))
    if query.batch is not None:
        parts = list(Batch.objects.filter(parent=query.batch).values_list("pk", flat=True))
        rows = rows.filter(Q(batch__in=[query.batch, *parts]) if parts else Q(batch=query.batch))
    if query.fingerprint:
        rows = rows.filter(fingerprint=stored(query.fingerprint))
    if query.until is not None:
        rows = rows.filter(died_at__lte=query.until)
    if query.since is not None:
        rows = rows.filter(died_at__gte=query.since)
    if query.handler:
        rows = rows.filter(handler=query.handler)
    if query.reason:
        rows = rows.filter(reason=query.reason)
    if query.text:
        rows = rows.filter(error_text(query.text))
    return rows


def newest_of(rows: QuerySet[DeadLetter], most: int) -> QuerySet[DeadLetter]:
    """The newest so many of some, as a range of an index: by their keys they would be joined with the whole table."""
    oldest = rows.order_by("-died_at", "-job_id").values_list("died_at", "job_id")[most - 1 : most]
    for died_at, job in oldest:
        return rows.filter(died_at__gte=died_at).exclude(died_at=died_at, job_id__lt=job)
    return rows


def error_text(text: str) -> Q:
    """Letters whose error class or message has this text."""
    return Q(message__icontains=text) | Q(error_class__icontains=text)


def _rows(found: QuerySet[DeadLetter]) -> list[DeadLetterRow]:
    names = {"queue": "queue_name", "batch_name": "name_of_batch"}
    values: Iterable[tuple[Any, ...]] = found.annotate(
        queue_name=F("queue__name"), name_of_batch=F("batch__name")
    ).values_list(*(names.get(name, name) for name in _ROW))
    rows = [dict(zip(_ROW, value, strict=True)) for value in values]
    return [DeadLetterRow(**{**row, "batch_name": row["batch_name"] or ""}) for row in rows]
