"""Queues with due work on which no run has begun for a while: what to do about it, or which rule explains it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from queues import store
from queues.domain.spans import span
from queues.domain.states import Acknowledge, ChunkState, Priority, RunState, WorkerState
from queues.models import Chunk, Queue, QueueSlot, Run, Worker
from queues.services.claim import MAX_LOOK
from queues.services.counts import Problem


def check_standstill(now: datetime, patience: timedelta) -> Iterator[Problem]:
    """Each open queue whose oldest due chunk waits for longer than `patience` and that saw no run begin meanwhile.

    What a limit, a flush rule or busy workers explain is a warning; anything else is a problem.
    """
    for name, seconds in store.rows("oldest_due"):
        if seconds <= patience.total_seconds():
            continue
        queue = Queue.objects.filter(name=name).first()
        if queue is None or _began(queue, now - patience):
            continue
        since, subject = span(timedelta(seconds=seconds)), f"queue {name}"
        if why := _explained(queue, now, seconds):
            yield Problem("standstill", subject, f"work is due for {since} and waits: {why}", warning=True)
            continue
        workers = _serving(queue, now - patience)
        if not workers:
            others = " that takes it" if _heard(now - patience).exists() else ""
            suspended = _heard(now - patience).filter(state=WorkerState.SUSPENDED).count()
            others += f" ({suspended:,} suspended)" if suspended else ""
            yield Problem("workers", subject, f"work is due for {since}, and no worker is alive{others}")
        elif len(workers) == len(busy := _busy(workers, now)):
            yield Problem(
                "standstill",
                subject,
                f"work is due for {since}: all {len(busy):,} workers are busy with longer runs",
                warning=True,
            )
        else:
            yield Problem(
                "standstill",
                subject,
                f"work is due for {since}, and no run has begun meanwhile though a worker is free: do beat, the "
                f"control worker and the broker run? `manage.py work --queue {name}` does the work without them",
            )


def _began(queue: Queue, since: datetime) -> bool:
    """Whether a run of the queue began since then. It runs still or ended later: for both there is an index."""
    began = Run.objects.filter(queue=queue, started_at__gte=since)
    return began.filter(finished_at__gte=since).exists() or began.filter(state=RunState.RUNNING).exists()


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a queue starts nothing now, or that it works. `kind` names the cause for whoever offers a way out."""

    kind: str
    text: str


# A worker that has not been heard of for so long is not expected to start anything.
SILENT = timedelta(seconds=30)


def explain(*, name: str, now: datetime) -> Standing:
    """Why nothing of this queue starts now, in one sentence. Reads a bounded number of rows."""
    queue = Queue.objects.get(name=name)
    if queue.paused_at is not None and (queue.paused_until is None or queue.paused_until > now):
        return Standing("paused", f"It is paused{f' by {queue.paused_by}' if queue.paused_by else ''}.")
    waited = _waited(queue, now)
    running = Run.objects.filter(queue=queue, state=RunState.RUNNING, lease_until__gte=now)
    if waited is None:
        busy = running.exists()
        waiting = Chunk.objects.filter(queue=queue)
        if waiting.filter(state=ChunkState.READY).exists():
            return Standing("later", "Nothing is due yet: what waits is planned for later, or backs off.")
        if waiting.filter(state=ChunkState.HELD).exists():
            return Standing("held", "What waits is held: its batch is open or paused, or an earlier stage goes on.")
        return Standing("busy", "Nothing waits: workers have the rest.") if busy else Standing("empty", "It is empty.")
    return _hindered(queue, now, waited)


def _hindered(queue: Queue, now: datetime, waited: float) -> Standing:
    """Why due work waits."""
    if why := _explained(queue, now, waited):
        kind = "limit" if why.startswith("its limit") else "rate" if why.startswith("its rate") else "flush"
        return Standing(kind, f"Due work waits: {why}.")
    workers = _serving(queue, now - SILENT)
    if not workers:
        suspended = _heard(now - SILENT).filter(state=WorkerState.SUSPENDED).count()
        more = f"; {suspended:,} {'is' if suspended == 1 else 'are'} suspended" if suspended else ""
        return Standing("workers", f"Due work waits, and no worker that takes it is alive{more}.")
    busy = _busy(workers, now)
    if busy:
        return Standing("busy", f"Work goes on. Workers with a run: {len(busy):,} of {len(workers):,}.")
    return Standing("starting", f"Due work waits for the next hint. Free workers: {len(workers):,}.")


def _waited(queue: Queue, now: datetime) -> float | None:
    """For how many seconds the oldest due chunk has been due; None when nothing is due."""
    due = Chunk.objects.filter(queue=queue, state=ChunkState.READY, run_at__lte=now)
    # One descent for each priority, as a claim makes them: what is planned for later is not walked over.
    oldest = [
        found
        for priority in Priority
        if (found := due.filter(priority=priority).order_by("run_at", "pk").values_list("run_at", "created_at").first())
    ]
    return (now - min(max(pair) for pair in oldest)).total_seconds() if oldest else None


def _heard(since: datetime) -> QuerySet[Worker]:
    return Worker.objects.exclude(state=WorkerState.STOPPED).filter(heartbeat_at__gte=since)


def _serving(queue: Queue, since: datetime) -> set[UUID]:
    """The workers that live and take work of this queue; one that names no queues takes any."""
    able = _heard(since).exclude(state=WorkerState.SUSPENDED).values_list("pk", "queues")
    return {pk for pk, queues in able if not queues or queue.name in queues}


def _busy(workers: set[UUID], now: datetime) -> set[UUID]:
    runs = Run.objects.filter(worker__in=workers, state=RunState.RUNNING, lease_until__gte=now)
    return set(runs.values_list("worker_id", flat=True))


def _explained(queue: Queue, now: datetime, waited: float) -> str:
    """Which of the queue's own rules holds the work back, in words; nothing when none does."""
    if queue.max_runs is not None:
        free = QueueSlot.objects.filter(queue=queue, run_id=None, number__lte=queue.max_runs)
        if not free.exists():
            return f"its limit of {queue.max_runs:,} runs at once is reached"
    if queue.rate_limit is not None:
        elapsed = (now - queue.rate_filled_at).total_seconds()
        missing = -(queue.rate_tokens + queue.rate_limit * elapsed)
        if missing >= 0:
            return f"its rate limit allows the next run in {missing / queue.rate_limit:.0f} s"
    return _unflushed(queue, now, waited)


def _unflushed(queue: Queue, now: datetime, waited: float) -> str:
    """The flush rule that is not yet met, judged over what a claim would look at."""
    if queue.flush_jobs is None and queue.flush_bytes is None and queue.flush_seconds is None:
        return ""
    due = Chunk.objects.filter(queue=queue, state=ChunkState.READY, run_at__lte=now)
    fields = ("handler", "solo", "batch_id", "size", "bytes")
    found = list(due.order_by("priority", "run_at", "pk").values_list(*fields)[:MAX_LOOK])
    if not found or found[0][1]:  # a chunk that runs alone waits for no other
        return ""
    keys = 3 if queue.acknowledge in (Acknowledge.ALL_OR_NOTHING, Acknowledge.LAST_SUCCESSFUL) else 2
    fitting = [row for row in found if row[:keys] == found[0][:keys]]
    rules = [
        (queue.flush_jobs, sum(row[3] for row in fitting), "jobs"),
        (queue.flush_bytes, sum(row[4] for row in fitting), "bytes"),
        (queue.flush_seconds, waited, "s of waiting"),
    ]
    if any(wanted is not None and have >= wanted for wanted, have, _unit in rules):
        return ""
    said = (f"{have:,.0f} of {wanted:,.0f} {unit}" for wanted, have, unit in rules if wanted is not None)
    return f"its flush rule is not met yet ({', '.join(said)})"
