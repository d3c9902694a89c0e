"""Lists of jobs, page by page, however many there are: chunks are walked along an index and opened by the ids of jobs.

A page looks at so much and no more. Where little of what it looks at matches, it ends early and says where it stopped,
so that the next page goes on from there: no filter makes a page slow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from queues.domain.states import UNFINISHED
from queues.selectors import job_rows
from queues.selectors.clock import database_now
from queues.selectors.job_chunks import COLUMNS, ChunkRow, expected
from queues.selectors.job_letters import letters
from queues.selectors.job_look import LAST_ID, Look, listed, steps
from queues.selectors.job_sources import UNENDED, JobQuery, Source, sources
from queues.selectors.job_walk import Place

__all__ = ["LAST_ID", "PAGE_SIZE", "UNENDED", "JobPage", "JobQuery", "Place", "job_page", "newest_jobs"]

PAGE_SIZE = 50
# Jobs of one statement that opens chunks.
OPENED = 2_000


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


def job_page(
    query: JobQuery, *, before: Place | None = None, after: Place | None = None, size: int = PAGE_SIZE
) -> JobPage:
    """The page that follows `before` in the order of the list, or leads up to `after`. Raises `TooWide`."""
    now = database_now()
    lists = sources(query, now)
    backwards = after is not None
    if backwards:
        lists = [(part, where.backwards()) for part, where in reversed(lists)]
    look = Look(size + 1)
    start = after if backwards else before
    stopped = _walk(lists, start, look, now)
    found = look.found[:size]
    more = len(look.found) > size
    end = found[-1][0] if more else look.last if stopped else None
    begin = found[0][0] if found and start is not None else None
    if backwards:
        found.reverse()
        begin, end = end, found[-1][0] if found else start
    rows = job_rows.rows([(place.job, state) for place, state in found])
    places = [place for place, _state in found]
    return JobPage(rows, places, begin, end, lists[0][1].ordered_by, stopped and not more, look.jobs)


def newest_jobs(query: JobQuery, limit: int) -> list[Place]:
    """Places of the first jobs of a list: what a page has not shown yet. Raises `TooWide`."""
    now = database_now()
    look = Look(limit)
    _walk(sources(query, now), None, look, now)
    return [place for place, _state in look.found[:limit]]


def _walk(lists: Sequence[tuple[JobQuery, Source]], start: Place | None, look: Look, now: datetime) -> bool:
    """Look along lists, one after the other, from a place on; whether it stopped before the page was full or the last
    of them at its end."""
    while start is not None and len(lists) > 1 and not lists[0][1].has(start):
        lists = lists[1:]
    for query, where in lists:
        walk = letters if where.letters else _own if where.own else _chunks
        if walk(query, where, start, look, now):
            return True
        if len(look.found) >= look.wanted:
            return False
        start = None
    return False


def _own(query: JobQuery, where: Source, start: Place | None, look: Look, now: datetime) -> bool:
    """Over jobs that were cancelled one by one, by their own index."""
    walk = where.walk
    behind = -1 if walk.descending else 1
    at = None if start is None else (0, start.job + behind)
    for step in steps():
        page = walk.rows(("chunk__state", "chunk__handler"), at, step)
        look.rows += len(page)
        jobs = [job for _key, job, state, handler in page if state in UNFINISHED and query.handler in ("", handler)]
        if jobs:
            look.jobs += len(jobs)
            rows = listed(query, look.wanted - len(look.found), now, jobs=jobs)
            look.found += [(Place(UNENDED, 0, job), state) for _chunk, job, state in rows]
        if len(look.found) >= look.wanted or len(page) < step:
            return False
        look.last = Place(UNENDED, 0, page[-1][1])
        at = (0, page[-1][1] + behind)
        if look.over:
            return True
    raise AssertionError("unreachable")


def _chunks(query: JobQuery, where: Source, start: Place | None, look: Look, now: datetime) -> bool:
    """Walk over chunks and open those that may hold what is wanted; whether it stopped before the end."""
    for step in steps():
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
    query: JobQuery, where: Source, group: list[ChunkRow], start: Place | None, look: Look, now: datetime
) -> None:
    low, high = 0, LAST_ID
    if start is not None and group[0].id == start.chunk:
        low, high = (0, start.job) if where.walk.descending else (min(start.job, LAST_ID - 1) + 1, LAST_ID)
    keys = {chunk.id: chunk.key for chunk in group}
    rows = listed(
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


def _may_hold(chunk: ChunkRow, query: JobQuery, now: datetime) -> bool:
    """Whether a chunk can have a job of a query, as far as its row tells."""
    if query.handler and chunk.handler != query.handler:
        return False
    return expected(chunk, query.state, now) > 0
