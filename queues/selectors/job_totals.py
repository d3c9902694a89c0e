"""How many jobs a list has: by the counts of its chunks, never by counting jobs; and which searches are too wide."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, When

from queues.domain.operating import PENDING
from queues.domain.states import UNFINISHED, ChunkState, HeldWhy, JobState
from queues.selectors.clock import database_now
from queues.selectors.expressions import UNENDED
from queues.selectors.job_sources import JobQuery, Source, own_cancelled, sources
from queues.selectors.job_walk import TooWide

# Jobs that a search in payloads may have before it.
SEARCHED = 100_000
# Chunks or dead letters that a total counts, and the least of each queue.
COUNTED = 10_000
COUNTED_EACH = 200


@dataclass(frozen=True, slots=True)
class Total:
    """How many jobs a list has; where not `exact`, at least so many."""

    jobs: int
    exact: bool


def job_total(query: JobQuery) -> Total | None:
    """The jobs of a list by the counts of its chunks, of which at most 10,000 are read. None where only reading each
    job would tell: errors and payloads are not counted. Raises `TooWide`."""
    if query.error or query.payload:
        return None
    now = database_now()
    totals = [_total(part, where, now) for part, where in sources(query, now)]
    return Total(sum(total.jobs for total in totals), all(total.exact for total in totals))


def _total(query: JobQuery, where: Source, now: datetime) -> Total:
    """The same for a list of jobs of one kind."""
    if where.letters:
        return _letter_total(query, where)
    if where.own:
        own = _own_cancelled(query)
        return Total(min(own, COUNTED), own <= COUNTED)
    limit = max(COUNTED_EACH, COUNTED // max(1, len(where.counted.values)))
    of_each = Case(When(_counted(query, now), then=_JOBS.get(query.state, UNENDED)), default=0)
    found = where.counted.counts(where.order, limit + 1, of_each)
    return Total(sum(each for _seen, each in found), all(seen <= limit for seen, _each in found))


def _counted(query: JobQuery, now: datetime) -> Q:
    """The chunks of which jobs are counted.

    Whether a job has failed before, only its own row knows for certain: one that failed, was deleted and then restored
    is in a chunk that says nothing of it.
    """
    later = Q(state=ChunkState.READY, run_at__gt=now)
    states: dict[str, Q] = {
        PENDING: Q(state__in=(ChunkState.READY, ChunkState.HELD)),
        JobState.WAITING: Q(state=ChunkState.READY, run_at__lte=now),
        JobState.SCHEDULED: later & Q(is_retry=False),
        JobState.RETRYING: later & Q(is_retry=True),
        JobState.HELD: Q(state=ChunkState.HELD),
        JobState.RUNNING: Q(state=ChunkState.LEASED),
        JobState.TRASHED: Q(state=ChunkState.PARKED, held_why=HeldWhy.TRASHED),
    }
    here = Q(archived_at=None) & states.get(query.state, Q())
    return here & Q(handler=query.handler) if query.handler else here


# What is counted of such a chunk; of the others, what has not ended.
_JOBS: dict[str, Any] = {
    "": F("size"),
    JobState.SUCCEEDED: F("succeeded"),
    JobState.CANCELLED: Case(When(state=ChunkState.CANCELLED, then=F("size")), default=F("cancelled")),
    JobState.TRASHED: F("size"),
}


def _own_cancelled(query: JobQuery) -> int:
    """Jobs that were cancelled one by one in chunks that go on."""
    rows = own_cancelled(query).filter(chunk__state__in=UNFINISHED)
    rows = rows.filter(chunk__handler=query.handler) if query.handler else rows
    return rows[: COUNTED + 1].count()


def _letter_total(query: JobQuery, where: Source) -> Total:
    parts = where.walk.parts
    if query.handler:
        parts = parts.having(lambda rows: rows.filter(handler=query.handler))
    jobs = parts.total(where.order, COUNTED + 1)
    return Total(min(jobs, COUNTED), jobs <= COUNTED)


def check_search(query: JobQuery) -> None:
    """Refuse a search in payloads or errors that would have to read more jobs than is sensible. Raises `TooWide`."""
    if parts := query.failing:
        for part in parts:
            check_search(part)
        return
    searching = query.payload is not None or (query.error != "" and query.state != JobState.DEAD)
    if not searching or query.batch is not None:
        return
    total = job_total(replace(query, payload=None, error=""))
    if total is None or not total.exact or total.jobs > SEARCHED:
        found = "" if total is None else f" This list has {total.jobs:,}{'' if total.exact else ' or more'}."
        raise TooWide(
            "A search in payloads or errors reads job by job: choose a batch, or a queue, state and time that leave at "
            f"most {SEARCHED:,} jobs.{found}"
        )
