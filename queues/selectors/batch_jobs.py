"""The jobs of a batch one by one, wherever they are by now, and what went wrong with each.

Walked by the ids at which they were born, in slices: nothing is counted, sorted or held beyond a slice, and a walk can
go on after any id.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import Count, Max
from django.db.models.functions import Left

from queues import store
from queues.domain.states import JobState, Outcome, Priority
from queues.models import ArchivedJob, Attempt, Batch, Job, batch_id
from queues.selectors.birth import birth_ranges, leaves

# Ids of one slice, and characters of an error's message.
SLICE = 2_000
MESSAGE_SHOWN = 2_000
_ENDS = {
    Outcome.SUCCEEDED: JobState.SUCCEEDED,
    Outcome.CANCELLED: JobState.CANCELLED,
    Outcome.DELETED: JobState.TRASHED,
    Outcome.DEAD: JobState.DEAD,
}


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One job of a batch. `attempts` are its failed tries, as far as they are still kept."""

    job_id: int
    state: JobState
    priority: str
    attempts: int
    archived: bool


@dataclass(frozen=True, slots=True)
class JobError:
    """A job that has failed at least once, and its last error."""

    job_id: int
    state: JobState
    attempts: int
    kind: str
    error_class: str
    message: str
    fingerprint: str
    at: datetime


def batch_jobs(
    batch: Batch | int, *, state: JobState | str | None = None, after: int = 0, limit: int | None = None
) -> Iterator[BatchJob]:
    """The jobs of a batch, and of its parts, by id after `after`; those in one state, at most `limit`.

    Raises `ValueError` for an unknown state.
    """
    wanted = None if state is None else JobState(state)
    found = (row for page in _pages(batch, after) for row in page if wanted in (None, row.state))
    return islice(found, limit)


def batch_errors(batch: Batch | int, *, after: int = 0, limit: int | None = None) -> Iterator[JobError]:
    """The jobs of a batch, and of its parts, that have failed at least once, by id after `after`, at most `limit`."""
    return islice((row for page in _pages(batch, after) for row in _errors(page)), limit)


def _pages(batch: Batch | int, after: int) -> Iterator[list[BatchJob]]:
    number = batch_id(batch)
    for leaf, last in leaves(number):
        if last is None or last <= after:
            continue
        for low, high in birth_ranges(leaf):
            start = max(low, after + 1)
            for first in range(start, high, SLICE):
                yield _slice(leaf, first, min(first + SLICE, high))


def _slice(batch: int, low: int, high: int) -> list[BatchJob]:
    """The jobs with ids in [low, high). The hot ones first: what is archived meanwhile is found twice, not never."""
    hot = dict(
        Job.objects.filter(pk__gte=low, pk__lt=high, batch=batch).values_list("pk", "chunk__priority"),
    )
    states: dict[int, str] = dict(store.rows("job_state", jobs=sorted(hot))) if hot else {}
    archived = {
        row[0]: row[1:]
        for row in ArchivedJob.objects.filter(pk__gte=low, pk__lt=high, batch_id=batch).values_list(
            "pk", "outcome", "priority"
        )
    }
    tries = dict(Attempt.objects.filter(job_id__gte=low, job_id__lt=high).values_list("job_id").annotate(Count("pk")))
    rows = []
    for job in sorted(states.keys() | archived.keys()):
        if job in archived:
            outcome, priority = archived[job]
            state = _ENDS[Outcome(outcome)]
        else:
            state, priority = JobState(states[job]), hot[job]
        rows.append(BatchJob(job, state, Priority(priority).label, tries.get(job, 0), job in archived))
    return rows


def _errors(page: list[BatchJob]) -> Iterator[JobError]:
    failed = {row.job_id: row for row in page if row.attempts}
    if not failed:
        return
    last = Attempt.objects.filter(job_id__in=list(failed)).values("job_id").annotate(last=Max("pk")).values("last")
    names = ("job_id", "kind", "error_class", "cut_message", "fingerprint", "finished_at")
    tries = Attempt.objects.filter(pk__in=last).annotate(cut_message=Left("message", MESSAGE_SHOWN))
    for job, *error in tries.order_by("job_id").values_list(*names):
        yield JobError(job, failed[job].state, failed[job].attempts, *error)
