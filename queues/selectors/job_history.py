"""What happened to one job, in order: from what is recorded, and nothing that is not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from uuid import UUID

from queues.domain.states import AttemptKind, JobState
from queues.models import AuditEntry, Operation, OperationItem
from queues.selectors.job_detail import JobDetail, JobRun
from queues.selectors.jobs import AttemptRow

# No index leads from a job to the operations and to the audit: the newest of them are looked through.
OPERATIONS_LOOKED_AT = 300
ENTRIES_LOOKED_AT = 2_000
WORTH_TELLING = timedelta(milliseconds=1)
# Steps for which a job waits.
STARTS = ("running", "ran", "failed", "lost", "released")


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a job's life. `lasted` is how long it took, `waited` how long nothing had happened before it, and
    `told` in a word what that was; empty where nobody waited for this step."""

    kind: str
    at: datetime
    text: str
    worker: str = ""
    run: int | None = None
    lasted: timedelta | None = None
    waited: timedelta | None = None
    future: bool = False
    worker_id: UUID | None = None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did with the job."""

    at: datetime
    what: str
    actor: str
    reason: str


def deeds(job_id: int) -> list[Deed]:
    """What people did with the job lately: by operations, and by bringing it back from the archive."""
    recent = list(Operation.objects.order_by("-pk").values_list("pk", flat=True)[:OPERATIONS_LOOKED_AT])
    items = OperationItem.objects.filter(operation__in=recent, job_id=job_id).exclude(outcome="")
    rows = items.values_list("operation__created_at", "outcome", "operation__actor", "operation__reason")
    found = [Deed(*row) for row in rows]
    newest = AuditEntry.deeds().order_by("-at", "-id").values("pk")[:ENTRIES_LOOKED_AT]
    entries = AuditEntry.objects.filter(pk__in=newest, action="restore jobs", target=f"job {job_id}")
    for at, actor, reason in entries.values_list("at", "actor", "reason"):
        found.append(Deed(at, "restored from the archive", actor, reason))
    return sorted(found, key=lambda deed: deed.at)


def history(
    job: JobDetail, runs: list[JobRun], attempts: list[AttemptRow], done: list[Deed], died_at: datetime | None
) -> list[Event]:
    """The steps in order, oldest first; what is still to come is last."""
    events = [Event("enqueued", job.created_at, "enqueued")] if job.created_at else []
    events += _tries(job, runs, attempts)
    events += [Event("deed", deed.at, _in_words(deed)) for deed in done]
    events += _deaths(job, attempts, done, died_at)
    events += _end(job)
    events.sort(key=lambda event: event.at)
    return _with_waits(events)


def _tries(job: JobDetail, runs: list[JobRun], attempts: list[AttemptRow]) -> list[Event]:
    by_run = {attempt.run_id: attempt for attempt in attempts}
    events = []
    for number, run in enumerate(runs):
        attempt = by_run.pop(run.id, None)
        last = number == len(runs) - 1
        if attempt is not None:
            events.append(_failed(attempt, run))
        else:
            events.append(_ran(job, run, last))
    # A run whose row was purged: its try is still known.
    return events + [_failed(attempt, None) for attempt in by_run.values()]


def _failed(attempt: AttemptRow, run: JobRun | None) -> Event:
    started = attempt.started_at or (run.started_at if run else attempt.finished_at)
    # The worker's clock told when the try began, the database's when it was written down.
    lasted = max(timedelta(), attempt.finished_at - started)
    what = (
        f"try {attempt.number} failed: {attempt.kind}" if attempt.kind != "lost" else f"try {attempt.number} was lost"
    )
    return Event(
        "failed",
        started,
        what,
        attempt.worker,
        attempt.run_id,
        lasted,
        worker_id=_known(attempt.worker, attempt.worker_id),
    )


def _ran(job: JobDetail, run: JobRun, last: bool) -> Event:
    lasted = max(timedelta(), run.finished_at - run.started_at) if run.finished_at else None
    worker = _known(run.worker, run.worker_id)
    if run.state == "running":
        ended = job.state is not JobState.RUNNING
        return Event(
            "running",
            run.started_at,
            "in a run that still goes on" if ended else "running",
            run.worker,
            run.id,
            worker_id=worker,
        )
    if run.state in ("lost", "released"):
        text = "in a run that was lost" if run.state == "lost" else "in a run that was given back"
        return Event(run.state, run.started_at, text, run.worker, run.id, lasted, worker_id=worker)
    text = "ran, and succeeded" if last and job.state is JobState.SUCCEEDED else "in a run that ended"
    return Event("ran", run.started_at, text, run.worker, run.id, lasted, worker_id=worker)


def _known(name: str, worker: UUID) -> UUID | None:
    """A worker whose row was purged has no page."""
    return worker if name else None


def _deaths(job: JobDetail, attempts: list[AttemptRow], done: list[Deed], died_at: datetime | None) -> Iterator[Event]:
    """When it died: its letter tells of the last time, while it waits; of times before, that it had no try left, and
    that a person did something with it before its next one."""
    if died_at is not None:
        yield Event("dead", died_at, "dead: it waits for a person")
    tried = sorted(attempts, key=lambda attempt: attempt.finished_at)
    # The failures of a job count from its last retry, the numbers of its tries from its birth.
    restart, since = tried[-1].number - job.failures if tried else 0, 0
    for attempt, following in zip_longest(tried, tried[1:]):
        since += 1
        until = following.finished_at if following else datetime.max.replace(tzinfo=UTC)
        after = [deed.what for deed in done if attempt.finished_at <= deed.at < until]
        if not after:
            continue
        exhausted = attempt.kind == AttemptKind.REJECTED or since >= job.max_attempts
        afresh = attempt.number == restart and after[0] == "retried" and "cancelled" not in after
        died = after[0] != "cancelled" and (exhausted or afresh)
        if died and (following is not None or died_at is None):
            yield Event("dead", attempt.finished_at, "dead: it waited for a person")
        if died or {"cancelled", "retried"} <= set(after):
            since = 0


def _end(job: JobDetail) -> list[Event]:
    events = []
    if job.finished_at is not None:
        words = {JobState.TRASHED: "deleted for good", JobState.DEAD: "ended as dead"}
        events.append(Event(job.state, job.finished_at, words.get(job.state, f"ended: {job.state}")))
    if job.archived_at is not None:
        events.append(Event("archived", job.archived_at, "moved to the archive"))
    if job.due_at is not None and job.state is JobState.SCHEDULED:
        events.append(Event("due", job.due_at, "due", future=True))
    if job.due_at is not None and job.state is JobState.RETRYING:
        events.append(Event("due", job.due_at, "backed off until then: due for its next try", future=True))
    return events


def _in_words(deed: Deed) -> str:
    why = f": {deed.reason}" if deed.reason else ""
    return f"{deed.what} by {deed.actor or 'the program'}{why}"


def _told(before: Event | None, event: Event, waited: timedelta | None) -> str:
    """What a job did between two steps, where it is worth a word."""
    if before is None or waited is None or waited < WORTH_TELLING or event.kind not in STARTS:
        return ""
    return "backing off" if before.kind == "failed" else "waiting"


def _with_waits(events: list[Event]) -> list[Event]:
    """Each step with how long nothing had happened before it. Clocks differ: never less than nothing."""
    shown: list[Event] = []
    until: datetime | None = None
    for event in events:
        waited = None if until is None else max(timedelta(), event.at - until)
        shown.append(replace(event, waited=waited, told=_told(shown[-1] if shown else None, event, waited)))
        end = event.at + (event.lasted or timedelta())
        until = end if until is None else max(until, end)
    return shown
