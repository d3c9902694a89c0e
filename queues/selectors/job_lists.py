"""Lists of jobs, page by page, however many there are: chunks are walked along an index and opened by the ids of jobs.

A page looks at so much and no more. Where little of what it looks at matches, it ends early and says where it stopped,
so that the next page goes on from there: no filter makes a page slow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from queues import store
from queues.domain.states import UNFINISHED, JobState
from queues.selectors import job_rows
from queues.selectors.clock import database_now
from queues.selectors.job_chunks import COLUMNS, ChunkRow, expected
from queues.selectors.job_sources import JobQuery, Source, own_cancelled, source
from queues.selectors.job_walk import Walk
from queues.selectors.payload_search import holds

PAGE_SIZE = 50
# Rows of one step of the walk, growing while nothing is found; and what a page looks at before it stops.
STEPS = (100, 400, 1_000)
LOOK_ROWS = 20_000
LOOK_JOBS = 20_000
LOOK_SECONDS = 0.4
# Jobs of one statement that opens chunks.
OPENED = 2_000
LAST_ID = 2**63 - 1
# Stands for the end of what has not ended yet: later than all ends.
UNENDED = 2**62


class Place(NamedTuple):
    """A place in a list: the key and id of a chunk (0 for a dead letter), and a job of it."""

    key: int
    chunk: int
    job: int


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list. `stopped` is where the look ended before the page was full, `looked` how many jobs it saw."""

    rows: list[job_rows.JobRow]
    places: list[Place]
    newer: Place | None
    older: Place | None
    ordered_by: str
    stopped: bool = False
    looked: int = 0


@dataclass(slots=True)
class _Look:
    """What a page has found and how much it has looked at."""

    wanted: int
    found: list[tuple[Place, str]] = field(default_factory=list)
    rows: int = 0
    jobs: int = 0
    last: Place | None = None
    began: float = field(default_factory=monotonic)

    @property
    def over(self) -> bool:
        """Whether it has looked at enough."""
        late = monotonic() - self.began > LOOK_SECONDS
        return self.rows >= LOOK_ROWS or self.jobs >= LOOK_JOBS or (late and self.rows > 0)


def job_page(
    query: JobQuery, *, before: Place | None = None, after: Place | None = None, size: int = PAGE_SIZE
) -> JobPage:
    """The page that follows `before` in the order of the list, or leads up to `after`. Raises `TooWide`."""
    now = database_now()
    where = source(query, now)
    backwards = after is not None
    if backwards:
        where = replace(where, walk=replace(where.walk, descending=not where.walk.descending))
    look = _Look(size + 1)
    start = after if backwards else before
    stopped = _walk(query, where, start, look, now)
    found = look.found[:size]
    more = len(look.found) > size
    end = found[-1][0] if more else look.last if stopped else None
    begin = found[0][0] if found and start is not None else None
    if backwards:
        found.reverse()
        begin, end = end, found[-1][0] if found else start
    rows = job_rows.rows([(place.job, state) for place, state in found])
    places = [place for place, _state in found]
    return JobPage(rows, places, begin, end, where.ordered_by, stopped and not more, look.jobs)


def newest_jobs(query: JobQuery, limit: int) -> list[Place]:
    """Places of the first jobs of a list: what a page has not shown yet. Raises `TooWide`."""
    now = database_now()
    where = source(query, now)
    look = _Look(limit)
    _walk(query, where, None, look, now)
    return [place for place, _state in look.found[:limit]]


def _walk(query: JobQuery, where: Source, start: Place | None, look: _Look, now: datetime) -> bool:
    """Look along the list from a place on; whether it stopped before the page was full or the list at its end."""
    if where.letters:
        return _letters(query, where, start, look, now)
    if query.state != JobState.CANCELLED or query.batch is not None:
        return _chunks(query, where, start, look, now)
    # Those that were cancelled one by one in chunks that go on come before those whose chunk has ended.
    inside = start is not None and start.key == UNENDED
    walks = [_own, _chunks] if where.walk.descending else [_chunks, _own]
    if start is not None and inside is (walks[0] is _chunks):
        walks = walks[1:]
    for walk in walks:
        if walk(query, where, start, look, now):
            return True
        if len(look.found) >= look.wanted:
            return False
        start = None
    return False


def _own(query: JobQuery, where: Source, start: Place | None, look: _Look, now: datetime) -> bool:
    """Over jobs that were cancelled one by one, by their own index."""
    walk = Walk([own_cancelled(query)], "", "id", where.walk.descending)
    behind = -1 if walk.descending else 1
    at = None if start is None else (0, start.job + behind)
    for step in _steps():
        page = walk.rows(("chunk__state", "chunk__handler"), at, step)
        look.rows += len(page)
        jobs = [job for _key, job, state, handler in page if state in UNFINISHED and query.handler in ("", handler)]
        if jobs:
            look.jobs += len(jobs)
            rows = _listed(query, look.wanted - len(look.found), now, jobs=jobs)
            look.found += [(Place(UNENDED, 0, job), state) for _chunk, job, state in rows]
        if len(look.found) >= look.wanted or len(page) < step:
            return False
        look.last = Place(UNENDED, 0, page[-1][1])
        at = (0, page[-1][1] + behind)
        if look.over:
            return True
    raise AssertionError("unreachable")


def _chunks(query: JobQuery, where: Source, start: Place | None, look: _Look, now: datetime) -> bool:
    """Walk over chunks and open those that may hold what is wanted; whether it stopped before the end."""
    for step in _steps():
        at = None if start is None else (start.key, start.chunk)
        page = [ChunkRow(*row) for row in where.walk.rows(COLUMNS, at, step)]
        look.rows += len(page)
        wanted = [chunk for chunk in page if _may_hold(chunk, query, now) or (start and chunk.id == start.chunk)]
        for group in _groups(wanted):
            _open(query, where, group, start, look, now)
            if len(look.found) >= look.wanted:
                return False
            look.last = Place(group[-1].key, group[-1].id, 0 if where.walk.descending else LAST_ID)
            if look.over:
                return True
        if len(page) < step:
            return False
        start = look.last = _behind(page[-1], where)
        if look.over:
            return True
    raise AssertionError("unreachable")


def _behind(chunk: ChunkRow, where: Source) -> Place:
    """The place after all jobs of a chunk."""
    step = -1 if where.walk.descending else 1
    return Place(chunk.key, chunk.id + step, LAST_ID if where.walk.descending else 0)


def _steps() -> Iterator[int]:
    yield from STEPS
    while True:
        yield STEPS[-1]


def _groups(chunks: Sequence[ChunkRow]) -> Iterator[list[ChunkRow]]:
    """Chunks that are opened together: as many as hold about `OPENED` jobs."""
    group: list[ChunkRow] = []
    size = 0
    for chunk in chunks:
        group.append(chunk)
        size += chunk.size
        if size >= OPENED:
            yield group
            group, size = [], 0
    if group:
        yield group


def _open(
    query: JobQuery, where: Source, group: list[ChunkRow], start: Place | None, look: _Look, now: datetime
) -> None:
    low, high = 0, LAST_ID
    if start is not None and group[0].id == start.chunk:
        low, high = (0, start.job) if where.walk.descending else (min(start.job, LAST_ID - 1) + 1, LAST_ID)
    keys = {chunk.id: chunk.key for chunk in group}
    rows = _listed(
        query,
        look.wanted - len(look.found),
        now,
        chunks=list(keys),
        low=low,
        high=high,
        descending=where.walk.descending,
    )
    look.jobs += sum(chunk.size for chunk in group)
    look.found += [(Place(keys[chunk], chunk, job), state) for chunk, job, state in rows]


def _letters(query: JobQuery, where: Source, start: Place | None, look: _Look, now: datetime) -> bool:
    """The same over dead letters, which name their jobs."""
    filtered = bool(query.handler or query.payload)
    parts = [_telling(part, query) for part in where.walk.parts]
    walk = replace(where.walk, parts=parts)
    at = None
    if start is not None:
        at = (start.key, start.job - 1 if walk.descending else start.job + 1)
    for step in _steps() if filtered else iter([look.wanted] * (LOOK_ROWS // look.wanted)):
        page = walk.rows(("handler",), at, step)
        look.rows += len(page)
        keys = {job: key for key, job, handler in page if query.handler in ("", handler)}
        if keys:
            look.jobs += len(keys)
            rows = _listed(replace(query, error=""), look.wanted - len(look.found), now, jobs=list(keys))
            look.found += [(Place(keys[job], 0, job), state) for _chunk, job, state in rows]
        if len(look.found) >= look.wanted or len(page) < step:
            return False
        key, job = page[-1][:2]
        look.last = Place(key, 0, job)
        at = (key, job - 1 if walk.descending else job + 1)
        if look.over:
            return True
    return True


def _telling(rows: Any, query: JobQuery) -> Any:
    """Dead letters whose error holds a text."""
    if not query.error:
        return rows
    return rows.filter(Q(message__icontains=query.error) | Q(error_class__icontains=query.error))


def _listed(query: JobQuery, limit: int, now: datetime, **values: Any) -> list[tuple[int, int, str]]:
    usual = {"chunks": [], "jobs": [], "low": 0, "high": LAST_ID, "descending": False}
    wanted = {
        "state": query.state,
        "error": query.error,
        "holds": holds(*query.payload) if query.payload else [],
        "now": now,
        "limit": limit,
    }
    # So that a statement that took too long is the same error here as where Django has sent it.
    with connection.wrap_database_errors:
        return store.rows("job_list", **{**usual, **wanted, **values})


def _may_hold(chunk: ChunkRow, query: JobQuery, now: datetime) -> bool:
    """Whether a chunk can have a job of a query, as far as its row tells."""
    if query.handler and chunk.handler != query.handler:
        return False
    return expected(chunk, query.state, now) > 0
