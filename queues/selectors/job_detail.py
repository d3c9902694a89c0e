"""One job, wherever it is by now: hot or archived, with all that is recorded of what happened to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast, Left, Length

from queues import store
from queues.domain.states import HeldWhy, JobState, Outcome, Priority
from queues.models import ArchivedJob, Attempt, Batch, Chunk, Job, JobKey, JobResult, Queue, Run, Worker
from queues.selectors.jobs import PAYLOAD_SHOWN, Payload

# Runs of one job that a page shows.
RUNS_SHOWN = 50
STATE_OF = {
    Outcome.SUCCEEDED: JobState.SUCCEEDED,
    Outcome.CANCELLED: JobState.CANCELLED,
    Outcome.DELETED: JobState.TRASHED,
    Outcome.DEAD: JobState.DEAD,
}


@dataclass(frozen=True, slots=True)
class JobDetail:
    """One job. `created_at` is None where it is written nowhere any more. `due_at` is when it may or might run;
    `held_why` why it may not. An archived one has no `due_at`."""

    id: int
    state: JobState
    archived_at: datetime | None
    queue: str
    handler: str
    priority: str
    failures: int
    max_attempts: int
    batch_id: int | None
    batch_name: str
    chunk_id: int
    chunk_size: int
    solo: bool
    held_why: str
    created_at: datetime | None
    due_at: datetime | None
    finished_at: datetime | None
    key: str

    @property
    def archived(self) -> bool:
        """Whether it is out of the hot tables."""
        return self.archived_at is not None


@dataclass(frozen=True, slots=True)
class JobRun:
    """A run that held the job."""

    id: int
    state: str
    worker: str
    worker_id: UUID
    started_at: datetime
    finished_at: datetime | None
    careful: bool


def job(job_id: int) -> JobDetail | None:
    """The job, hot or archived; None for one that was purged or never was."""
    return _hot(job_id) or _archived(job_id)


def exists(job_id: int) -> bool:
    """Whether there is such a job, hot or archived."""
    return Job.objects.filter(pk=job_id).exists() or ArchivedJob.objects.filter(pk=job_id).exists()


def _hot(job_id: int) -> JobDetail | None:
    row = Job.objects.filter(pk=job_id).values("chunk_id", "batch_id", "failures").first()
    chunk = Chunk.objects.filter(pk=row["chunk_id"]).defer("ended", "job_ids").first() if row else None
    state = store.rows("job_state", jobs=[job_id])
    if row is None or chunk is None or not state:
        return None
    name, most = _queue(chunk.queue_id)
    return JobDetail(
        id=job_id,
        state=JobState(state[0][1]),
        archived_at=None,
        queue=name,
        handler=chunk.handler,
        priority=Priority(chunk.priority).label,
        failures=row["failures"],
        max_attempts=most,
        batch_id=row["batch_id"],
        batch_name=_batch_name(row["batch_id"]),
        chunk_id=chunk.pk,
        chunk_size=chunk.size,
        solo=chunk.solo,
        held_why=chunk.held_why,
        created_at=_enqueued_at(job_id, chunk),
        due_at=chunk.run_at,
        finished_at=chunk.finished_at,
        key=JobKey.objects.filter(job_id=job_id).values_list("key", flat=True).first() or "",
    )


def _archived(job_id: int) -> JobDetail | None:
    row = ArchivedJob.objects.filter(pk=job_id).defer("payload").first()
    if row is None:
        return None
    name, most = _queue(row.queue_id)
    return JobDetail(
        id=job_id,
        state=STATE_OF[Outcome(row.outcome)],
        archived_at=row.archived_at,
        queue=name,
        handler=row.handler,
        priority=Priority(row.priority).label,
        failures=row.failures,
        max_attempts=most,
        batch_id=row.batch_id,
        batch_name=_batch_name(row.batch_id),
        chunk_id=row.chunk_id,
        chunk_size=0,
        solo=False,
        held_why="",
        created_at=row.enqueued_at,
        due_at=None,
        finished_at=row.finished_at,
        key="",
    )


def _queue(number: int) -> tuple[str, int]:
    return Queue.objects.filter(pk=number).values_list("name", "max_attempts").first() or ("", 0)


def _batch_name(number: int | None) -> str:
    return Batch.objects.filter(pk=number).values_list("name", flat=True).first() or "" if number else ""


def payload(job_id: int, limit: int | None = PAYLOAD_SHOWN) -> Payload | None:
    """The payload's text, hot or archived, cut at `limit` characters by the database."""
    return _text(Job.objects.filter(pk=job_id), "payload", limit) or _text(
        ArchivedJob.objects.filter(pk=job_id), "payload", limit
    )


def result(job_id: int, limit: int | None = PAYLOAD_SHOWN) -> tuple[Payload, datetime] | None:
    """What the handler returned, where it is kept, and until when."""
    rows = JobResult.objects.filter(pk=job_id)
    found = _text(rows, "value", limit)
    until = rows.values_list("expires_at", flat=True).first()
    return (found, until) if found and until else None


def _text(rows: "Iterable[object]", field: str, limit: int | None) -> Payload | None:
    text = Cast(field, TextField())
    shown = text if limit is None else Left(text, limit)
    found = rows.annotate(text=shown, length=Length(text)).values_list("text", "length").first()  # type: ignore[attr-defined]
    return Payload(*found) if found else None


def runs(found: JobDetail, *, moved_at: datetime | None = None) -> list[JobRun]:
    """The runs that held the job, as far as they are recorded, the first one first.

    Those of its chunk; those of its tries; and, where it has left the chunk of its birth, those that had this chunk
    before its first failure, or before a person moved the job, `moved_at`.
    """
    tries = list(Attempt.objects.filter(job_id=found.id).order_by("finished_at").values_list("run_id", "finished_at"))
    chunk = Chunk.objects.filter(pk=found.chunk_id).only("run_ids", "first_id").first()
    wanted = {run for run, _at in tries} | set(chunk.run_ids[-RUNS_SHOWN:] if chunk else ())
    left = [at for at in (tries[0][1] if tries else None, moved_at) if at is not None]
    if chunk is not None and chunk.first_id is None and left:
        early = _birth_runs(found)
        until = min(left)
        wanted |= set(Run.objects.filter(pk__in=early, started_at__lte=until).values_list("pk", flat=True))
    rows = list(Run.objects.filter(pk__in=wanted).order_by("-started_at", "-pk")[:RUNS_SHOWN])[::-1]
    workers = dict(Worker.objects.filter(pk__in={row.worker_id for row in rows}).values_list("pk", "name"))
    return [
        JobRun(
            row.pk,
            row.state,
            workers.get(row.worker_id, ""),
            row.worker_id,
            row.started_at,
            row.finished_at,
            row.careful,
        )
        for row in rows
    ]


def _enqueued_at(job_id: int, chunk: Chunk) -> datetime | None:
    """Chunks keep the time when their jobs were enqueued, but those of the trash that of the deletion."""
    if chunk.held_why != HeldWhy.TRASHED:
        return chunk.created_at
    birth = _birth(job_id, chunk.batch_id)
    return birth.created_at if birth else None


def _birth(job_id: int, batch: int | None) -> Chunk | None:
    """The chunk in which a job of a batch was born."""
    if batch is None:
        return None
    rows = Chunk.objects.filter(batch=batch, first_id__lte=job_id).order_by("-first_id")
    found = rows.only("first_id", "span", "run_ids", "created_at").first()
    return found if found is not None and job_id < (found.first_id or 0) + (found.span or 0) else None


def _birth_runs(found: JobDetail) -> list[int]:
    birth = _birth(found.id, found.batch_id)
    return list(birth.run_ids[:RUNS_SHOWN]) if birth else []
