"""What a list shows of its jobs: read for one page, by their ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, TextField
from django.db.models.functions import Cast, Left

from queues.domain.states import JobState, Priority
from queues.models import Attempt, Batch, Chunk, DeadLetter, Job, Queue

# Characters of a payload and of an error that a row shows.
SUMMARY = 160
MESSAGE = 300


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list. `failures` are its failed tries; `due_at` is when its chunk may run."""

    id: int
    state: JobState
    handler: str
    queue: str
    priority: str
    failures: int
    max_attempts: int
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    batch_id: int | None
    batch_name: str
    payload: str
    error_class: str
    error: str


def rows(found: Sequence[tuple[int, str]]) -> list[JobRow]:
    """The rows of jobs whose states are known; those that have gone meanwhile are left out."""
    if not found:
        return []
    numbers = [job for job, _state in found]
    text = Left(Cast("payload", TextField()), SUMMARY)
    jobs = {
        row[0]: row
        for row in Job.objects.filter(pk__in=numbers)
        .annotate(text=text)
        .values_list("pk", "chunk_id", "batch_id", "failures", "text")
    }
    chunks = {
        row[0]: row[1:]
        for row in Chunk.objects.filter(pk__in={row[1] for row in jobs.values()}).values_list(
            "pk", "queue_id", "handler", "priority", "created_at", "run_at", "finished_at"
        )
    }
    queues = {row[0]: row[1:] for row in Queue.objects.values_list("pk", "name", "max_attempts")}
    batches = dict(Batch.objects.filter(pk__in={row[2] for row in jobs.values() if row[2]}).values_list("pk", "name"))
    errors = last_errors([job for job, row in jobs.items() if row[3]])
    listed = []
    for job, state in found:
        if job not in jobs or jobs[job][1] not in chunks:
            continue
        _pk, chunk, batch, failures, payload = jobs[job]
        queue, handler, priority, created_at, run_at, finished_at = chunks[chunk]
        name, most = queues.get(queue, ("", 0))
        about = (job, JobState(state), handler, name, Priority(priority).label, failures, most)
        times = (created_at, run_at, finished_at)
        listed.append(JobRow(*about, *times, batch, batches.get(batch, ""), payload, *errors.get(job, ("", ""))))
    return listed


def last_errors(jobs: Collection[int]) -> dict[int, tuple[str, str]]:
    """Class and message of the last error of each of some jobs."""
    if not jobs:
        return {}
    message = Left("message", MESSAGE)
    dead = DeadLetter.objects.filter(pk__in=jobs).annotate(text=message)
    found = {job: (error, text) for job, error, text in dead.values_list("pk", "error_class", "text")}
    last = Attempt.objects.filter(job_id__in=jobs).values("job_id").annotate(last=Max("pk")).values("last")
    tries = Attempt.objects.filter(pk__in=last).annotate(text=message)
    return {job: (error, text) for job, error, text in tries.values_list("job_id", "error_class", "text")} | found
