"""The archive page by page, latest end first, or by id within a batch; and what it and its queues keep."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import JSONField, Q, TextField, Value
from django.db.models.functions import Cast, Left

from queues.domain.states import Priority
from queues.models import ArchivedJob, Batch, Queue
from queues.selectors.job_look import Look
from queues.selectors.job_rows import SUMMARY
from queues.selectors.job_sources import leaves_of
from queues.selectors.job_walk import Parts, Walk, within_parts
from queues.selectors.payload_search import holds

PAGE_SIZE = 50
COUNTED = 10_000
# Jobs in which a handler or a payload is looked for at once, and by one page: no index leads to them.
AT_ONCE = 2_000
SEARCHED = 100_000


@dataclass(frozen=True, slots=True)
class ArchivedQuery:
    """Which archived jobs are meant: all that match every given part. The times are about the end of a job; `payload`
    is a key and a value, as in a `JobQuery`."""

    batch: int | None = None
    queue: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None
    handler: str = ""
    payload: tuple[str, str] | None = None

    @property
    def sifted(self) -> bool:
        """Whether only reading each job tells whether it matches."""
        return bool(self.handler or self.payload)


class ArchivedPlace(NamedTuple):
    """A place in the list: the end as a number (0 in a batch), and the job."""

    key: int
    job: int


@dataclass(frozen=True, slots=True)
class ArchivedRow:
    """An archived job in a list."""

    id: int
    batch_id: int | None
    batch_name: str
    queue: str
    handler: str
    priority: str
    outcome: str
    failures: int
    enqueued_at: datetime
    finished_at: datetime
    payload: str


@dataclass(frozen=True, slots=True)
class ArchivedPage:
    """One page of the list. `stopped`: the look ended before the page was full, when it had seen `looked` jobs."""

    rows: list[ArchivedRow]
    newer: ArchivedPlace | None
    older: ArchivedPlace | None
    stopped: bool = False
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long after its end a job of a queue is archived, and purged."""

    queue: str
    archive_after: timedelta
    archive_cancelled_after: timedelta
    archive_dead_after: timedelta | None
    purge_after: timedelta
    purge_cancelled_after: timedelta
    purge_dead_after: timedelta


def archived_page(
    query: ArchivedQuery,
    *,
    before: ArchivedPlace | None = None,
    after: ArchivedPlace | None = None,
    size: int = PAGE_SIZE,
) -> ArchivedPage:
    """The page that follows `before` in the order of the list, or leads up to `after`. Raises `TooWide`."""
    walk = _walk(query, backwards=after is not None)
    start = after or before
    step = -1 if walk.descending else 1
    at = None if start is None else (start.key, start.job + step)
    look = Look(size + 1)
    found, last = _sifted(query, walk, at, look) if query.sifted else (walk.rows((), at, look.wanted), None)
    places = [ArchivedPlace(*row[:2]) for row in found[:size]]
    more = len(found) > size
    end = places[-1] if more else last and ArchivedPlace(*last)
    begin = places[0] if places and start is not None else None
    if after is not None:
        places.reverse()
        begin, end = end, places[-1] if places else start
    return ArchivedPage(_rows([place.job for place in places]), begin, end, last is not None and not more, look.rows)


def anything() -> bool:
    """Whether the archive holds any job. One look at the end of each partition's index."""
    return ArchivedJob.objects.order_by("-pk").values_list("pk").first() is not None


def _sifted(
    query: ArchivedQuery, walk: Walk, at: tuple[int, int] | None, look: Look
) -> tuple[list[tuple[Any, ...]], tuple[int, int] | None]:
    """What is found by reading job after job, and where the look ended if that was not the end of the list."""
    wanted = Q(handler=query.handler) if query.handler else Q()
    if query.payload:
        walk = replace(walk, parts=walk.parts.having(lambda rows: rows.annotate(held=Cast("payload", JSONField()))))
        pieces = holds(*query.payload)
        wanted &= reduce(or_, (Q(held__contains=Cast(Value(piece), JSONField())) for piece in pieces))
    found: list[tuple[Any, ...]] = []
    step = -1 if walk.descending else 1
    while look.rows < SEARCHED and not look.late:
        page, end = walk.sift(wanted, (), at, look.wanted - len(found), AT_ONCE)
        found += page
        look.rows += AT_ONCE
        if end is None or len(found) >= look.wanted:
            return found, None
        at = (end[0], end[1] + step)
    return found, end


def archived_total(query: ArchivedQuery) -> int | None:
    """How many match; counting ends after 10,000. None where only reading each job would tell."""
    return None if query.sifted else _parts(query).total((), COUNTED + 1)


def _walk(query: ArchivedQuery, *, backwards: bool) -> Walk:
    key = "finished_at" if query.batch is None else ""
    return Walk(_parts(query), key, "id", descending=(query.batch is None) is not backwards)


def _parts(query: ArchivedQuery) -> Parts:
    rows = ArchivedJob.objects.all()
    if query.outcome:
        rows = rows.filter(outcome=query.outcome)
    if query.since is not None:
        rows = rows.filter(finished_at__gte=query.since)
    if query.until is not None:
        rows = rows.filter(finished_at__lt=query.until)
    queues = Queue.objects.filter(name=query.queue) if query.queue else Queue.objects.all()
    numbers = list(queues.order_by("pk").values_list("pk", flat=True))
    if query.batch is not None:
        if query.queue:
            rows = rows.filter(queue__in=numbers)
        return Parts(rows, ("batch_id",), [(leaf,) for leaf in leaves_of(query.batch)])
    within_parts(numbers, "Choose a queue.")
    return Parts(rows, ("queue_id",), [(number,) for number in numbers])


def archived_rows(numbers: list[int]) -> list[ArchivedRow]:
    """Those of the named jobs that are in the archive, in this order."""
    return _rows(numbers)


def _rows(numbers: list[int]) -> list[ArchivedRow]:
    if not numbers:
        return []
    text = Left(Cast("payload", TextField()), SUMMARY)
    names = ("batch_id", "queue_id", "handler", "priority", "outcome", "failures", "enqueued_at", "finished_at")
    jobs = {
        row["pk"]: row
        for row in ArchivedJob.objects.filter(pk__in=numbers).annotate(text=text).values("pk", "text", *names)
    }
    queues = dict(Queue.objects.filter(pk__in={row["queue_id"] for row in jobs.values()}).values_list("pk", "name"))
    batches = dict(Batch.objects.filter(pk__in={row["batch_id"] for row in jobs.values()}).values_list("pk", "name"))
    return [
        ArchivedRow(
            id=number,
            batch_id=row["batch_id"],
            batch_name=batches.get(row["batch_id"], ""),
            queue=queues.get(row["queue_id"], ""),
            handler=row["handler"],
            priority=Priority(row["priority"]).label,
            outcome=row["outcome"],
            failures=row["failures"],
            enqueued_at=row["enqueued_at"],
            finished_at=row["finished_at"],
            payload=row["text"],
        )
        for number in numbers
        if (row := jobs.get(number))
    ]


def retentions() -> list[Retention]:
    """Each queue's, with what stands for a setting that is empty."""
    found = []
    for queue in Queue.objects.order_by("name"):
        kept = queue.purge_after
        cancelled, dead = queue.purge_cancelled_after, queue.purge_dead_after
        archived = queue.archive_cancelled_after
        found.append(
            Retention(
                queue=queue.name,
                archive_after=_span(queue.archive_after),
                archive_cancelled_after=_span(queue.archive_after if archived is None else archived),
                archive_dead_after=None if queue.archive_dead_after is None else _span(queue.archive_dead_after),
                purge_after=_span(kept),
                purge_cancelled_after=_span(kept if cancelled is None else cancelled),
                purge_dead_after=_span(kept if dead is None else dead),
            )
        )
    return found


def _span(seconds: float) -> timedelta:
    """So long; where that is beyond all measure, as long as can be said."""
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        return timedelta.max
