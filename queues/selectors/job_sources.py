"""Where a list of jobs is read: by which index its chunks, or its dead letters, are walked along."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from queues.domain.operating import PENDING, UNSTARTED
from queues.domain.states import ChunkState, HeldWhy, JobState, OwnState, Priority
from queues.models import Batch, Chunk, DeadLetter, Job, Queue
from queues.selectors.job_walk import Parts, Place, Walk, within_parts

ENDED = (ChunkState.DONE, ChunkState.CANCELLED)
# Stands for the end of what has not ended yet: later than all ends.
UNENDED = 2**62


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs a list shows: all that match every given part.

    `state` may be `pending`: all that was not started. An `error` without a state or a batch means the jobs that have
    it now: dead letters, and what is tried again. `since` and `until` are about the time by which the list is ordered.
    `payload` is a key, dotted where it lies deeper, and a value, which matches as text and as the JSON that it may be.
    """

    state: str = ""
    queue: str = ""
    handler: str = ""
    batch: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str = ""
    payload: tuple[str, str] | None = None

    @property
    def states(self) -> list[str]:
        """The states of the jobs that are meant; none for any."""
        return sorted(UNSTARTED) if self.state == PENDING else [self.state] if self.state else []

    @property
    def failing(self) -> list["JobQuery"]:
        """Of which lists the jobs that have an error now are made; none where something else is asked for."""
        if not self.error or self.state or self.batch is not None:
            return []
        return [replace(self, state=state) for state in (JobState.DEAD, JobState.RETRYING)]


@dataclass(frozen=True, slots=True)
class Source:
    """A walk, and the time by which it is ordered. `letters`: over dead letters, `own`: over jobs that were cancelled
    one by one in chunks that go on; else over chunks.

    `counted` are the same rows in as few parts as they can be counted in.
    """

    walk: Walk
    ordered_by: str
    counted: Parts
    letters: bool = False
    own: bool = False

    def backwards(self) -> "Source":
        """The same from its end."""
        return replace(self, walk=replace(self.walk, descending=not self.walk.descending))

    def has(self, place: Place) -> bool:
        """Whether a place is one of its own, where a list is made of several."""
        if self.own or place.key == UNENDED:
            return self.own and place.key == UNENDED
        return self.letters is (place.chunk == 0) and (self.walk.key != "") is (place.key != 0)

    @property
    def order(self) -> list[str]:
        """In which order what is counted is read: that of the index, else a table is read from its beginning."""
        by_priority = ["priority"] if self.ordered_by == "due" else []
        sign = "-" if self.walk.descending else ""
        return [sign + field for field in (*by_priority, self.walk.key, self.walk.tie) if field]


def sources(query: JobQuery, now: datetime) -> list[tuple[JobQuery, Source]]:
    """How the list of a query is read: as one list, or as several one after the other. Raises `TooWide`."""
    if query.batch is None and query.state == JobState.CANCELLED:
        ended = source(query, now)
        own = Parts(own_cancelled(query))
        # What goes on comes before what has ended.
        return [(query, Source(Walk(own, "", "id", descending=True), ended.ordered_by, own, own=True)), (query, ended)]
    if query.batch is None and query.state == PENDING:
        held = replace(query, state=JobState.HELD)
        return [(query, source(query, now)), (held, _held_by_due(held))]
    return [(part, source(part, now)) for part in query.failing or [query]]


def source(query: JobQuery, now: datetime) -> Source:
    """How a list of jobs of one kind is read. Raises `TooWide`."""
    if query.state == JobState.DEAD:
        return _dead(query)
    if query.batch is not None:
        chunks = _between(_of_queue(Chunk.objects.all(), query), "created_at", query)
        rows = Parts(chunks, ("batch_id",), [(leaf,) for leaf in leaves_of(query.batch)])
        return Source(Walk(rows, "", "id", descending=False), "enqueued", rows)
    return _BY_STATE.get(query.state, _created)(query, now)


def leaves_of(batch: int) -> list[int]:
    """The batches that hold the jobs of one: itself, or its parts. Raises `TooWide`."""
    parts = list(Batch.objects.filter(parent=batch).order_by("pk").values_list("pk", flat=True))
    within_parts(parts, "Choose one of its parts.")
    return parts or [batch]


def queues_of(query: JobQuery) -> list[int]:
    """The queues that a query is about. Raises `TooWide`."""
    found = Queue.objects.filter(name=query.queue) if query.queue else Queue.objects.all()
    numbers = list(found.order_by("pk").values_list("pk", flat=True))
    within_parts(numbers, "Choose a queue.")
    return numbers


def _between(rows: "QuerySet[Any]", field: str, query: JobQuery) -> "QuerySet[Any]":
    if query.since is not None:
        rows = rows.filter(**{f"{field}__gte": query.since})
    return rows if query.until is None else rows.filter(**{f"{field}__lt": query.until})


def _of_queue(rows: "QuerySet[Any]", query: JobQuery) -> "QuerySet[Any]":
    return rows.filter(queue__in=queues_of(query)) if query.queue else rows


def _each_queue(rows: "QuerySet[Any]", field: str, query: JobQuery) -> Parts:
    return Parts(_between(rows, field, query), ("queue_id",), [(queue,) for queue in queues_of(query)])


def _created(query: JobQuery, now: datetime) -> Source:
    rows = _each_queue(Chunk.objects.all(), "created_at", query)
    return Source(Walk(rows, "created_at", "id", descending=True), "enqueued", rows)


def _ready(query: JobQuery, due: Q) -> Source:
    rows = _each_queue(Chunk.objects.filter(due, state=ChunkState.READY), "run_at", query)
    # By priority as well: it is what the index of claims is entered by before the due time.
    values = [(queue, priority.value) for (queue,) in rows.values for priority in Priority]
    found = Parts(rows.rows, ("queue_id", "priority"), values)
    return Source(Walk(found, "run_at", "id", descending=False), "due", rows)


def _waiting(query: JobQuery, now: datetime) -> Source:
    return _ready(query, Q(run_at__lte=now))


def _later(query: JobQuery, now: datetime) -> Source:
    return _ready(query, Q(run_at__gt=now))


def _unstarted(query: JobQuery, now: datetime) -> Source:
    return _ready(query, Q())


def _held_by_due(query: JobQuery) -> Source:
    """Held chunks among others: under a time, by when they were to run, as those are."""
    rows = _each_queue(Chunk.objects.filter(state=ChunkState.HELD), "run_at", query)
    return Source(Walk(rows, "", "id", descending=False), "due", rows)


def _held(query: JobQuery, now: datetime) -> Source:
    rows = _each_queue(Chunk.objects.filter(state=ChunkState.HELD), "created_at", query)
    return Source(Walk(rows, "", "id", descending=False), "enqueued", rows)


def _running(query: JobQuery, now: datetime) -> Source:
    # What runs is few, and its index goes by run.
    rows = Parts(_between(_of_queue(Chunk.objects.filter(state=ChunkState.LEASED), query), "created_at", query))
    return Source(Walk(rows, "run_id", "id", descending=True), "enqueued", rows)


def _ended(query: JobQuery, now: datetime) -> Source:
    rows = _each_queue(Chunk.objects.filter(state__in=ENDED, archived_at=None), "finished_at", query)
    return Source(Walk(rows, "finished_at", "id", descending=True), "ended", rows)


def _trashed(query: JobQuery, now: datetime) -> Source:
    chunks = Chunk.objects.filter(state=ChunkState.PARKED, held_why=HeldWhy.TRASHED)
    rows = Parts(_between(_of_queue(chunks, query), "created_at", query))
    return Source(Walk(rows, "created_at", "id", descending=True), "deleted", rows)


def _dead(query: JobQuery) -> Source:
    letters = _between(_of_queue(DeadLetter.objects.all(), query), "died_at", query)
    if query.batch is None:
        rows = Parts(letters)
    else:
        rows = Parts(letters, ("batch_id",), [(leaf,) for leaf in leaves_of(query.batch)])
    return Source(Walk(rows, "died_at", "job_id", descending=True), "died", rows, letters=True)


def own_cancelled(query: JobQuery) -> "QuerySet[Job]":
    """Jobs that were cancelled one by one, also in chunks that go on. They have no time of their own: under a time,
    none."""
    rows = Job.objects.filter(own_state=OwnState.CANCELLED)
    if query.queue:
        rows = rows.filter(chunk__queue__in=queues_of(query))
    return rows.none() if query.since or query.until else rows


_BY_STATE: dict[str, Callable[[JobQuery, datetime], Source]] = {
    PENDING: _unstarted,
    JobState.WAITING: _waiting,
    JobState.SCHEDULED: _later,
    JobState.RETRYING: _later,
    JobState.HELD: _held,
    JobState.RUNNING: _running,
    JobState.SUCCEEDED: _ended,
    JobState.CANCELLED: _ended,
    JobState.TRASHED: _trashed,
}
