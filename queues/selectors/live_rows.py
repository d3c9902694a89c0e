"""What may change in the rows of a list that somebody looks at: of many rows at once, and nothing that stays."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from queues import store
from queues.domain.states import JobState, Outcome
from queues.models import ArchivedJob, Chunk, DeadLetter, Job, Queue, Run
from queues.selectors.job_detail import STATE_OF

LOOK = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands. An archived one has no `due_at`, and as many tries as it had."""

    state: JobState
    failures: int
    max_attempts: int | None
    due_at: datetime | None
    finished_at: datetime | None
    archived: bool


@dataclass(frozen=True, slots=True)
class RunMark:
    """As much of a run as tells whether a list would show it."""

    id: int
    queue: str
    worker: UUID
    state: str
    finished_at: datetime | None


def newest_runs(*, ended: bool) -> list[RunMark]:
    """The last runs that have started, or ended: whoever filters them looks among the same `LOOK`."""
    rows = Run.objects.filter(finished_at__isnull=False).order_by("-finished_at", "-pk")
    found = rows if ended else Run.objects.order_by("-pk")
    fields = ("pk", "queue_id", "worker_id", "state", "finished_at")
    names = dict(Queue.objects.values_list("pk", "name"))
    return [
        RunMark(pk, names.get(queue, ""), worker, state, finished)
        for pk, queue, worker, state, finished in found.values_list(*fields)[:LOOK]
    ]


def job_standings(ids: Collection[int]) -> dict[int, Standing]:
    """How some jobs stand, hot or archived; those that were purged are missing. Five queries at most."""
    if not ids:
        return {}
    states: dict[int, str] = dict(store.rows("job_state", jobs=list(ids)))
    jobs = {
        job: (chunk, failures)
        for job, chunk, failures in Job.objects.filter(pk__in=list(states)).values_list("pk", "chunk_id", "failures")
    }
    chunks = {
        row[0]: row[1:]
        for row in Chunk.objects.filter(pk__in={chunk for chunk, _failures in jobs.values()}).values_list(
            "pk", "queue_id", "run_at", "finished_at"
        )
    }
    most = dict(Queue.objects.values_list("pk", "max_attempts")) if jobs else {}
    found = _archived(set(ids) - jobs.keys())
    for job, (chunk, failures) in jobs.items():
        if chunk in chunks:
            queue, due_at, finished_at = chunks[chunk]
            state = JobState(states[job])
            found[job] = Standing(state, failures, most.get(queue), due_at, finished_at, archived=False)
    return found


def letters(ids: Collection[int]) -> set[int]:
    """Which of some jobs are dead letters now."""
    return set(DeadLetter.objects.filter(pk__in=list(ids)).values_list("pk", flat=True)) if ids else set()


def _archived(ids: Collection[int]) -> dict[int, Standing]:
    if not ids:
        return {}
    rows: Iterable[tuple[int, str, int, datetime]] = ArchivedJob.objects.filter(pk__in=list(ids)).values_list(
        "pk", "outcome", "failures", "finished_at"
    )
    return {
        job: Standing(STATE_OF[Outcome(outcome)], failures, None, None, finished_at, archived=True)
        for job, outcome, failures, finished_at in rows
    }
