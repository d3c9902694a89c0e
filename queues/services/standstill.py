"""Queues with due work on which no run has begun for a while: what to do about it, or which rule explains it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef

from queues import store
from queues.domain.spans import span
from queues.domain.states import Acknowledge, ChunkState, RunState, WorkerState
from queues.models import Chunk, Queue, QueueSlot, Run, Worker
from queues.services.claim import MAX_LOOK
from queues.services.counts import Problem


def check_standstill(now: datetime, patience: timedelta) -> Iterator[Problem]:
    """Each open queue whose oldest due chunk waits for longer than `patience` and that saw no run begin meanwhile.

    What a limit, a flush rule or busy workers explain is a warning; anything else is a problem.
    """
    overdue = {
        name: seconds for name, seconds in store.rows("oldest_due", queue=None) if seconds > patience.total_seconds()
    }
    queues = _unstarted(overdue, now - patience)
    crew = _crew(now, now - patience) if queues else None
    for queue in queues:
        seconds = overdue[queue.name]
        since, subject = span(timedelta(seconds=seconds)), f"queue {queue.name}"
        if why := _explained(queue, now, seconds):
            yield Problem("standstill", subject, f"work is due for {since} and waits: {why}", warning=True)
        elif crew is not None:
            yield _idle(queue, crew, since)


def _idle(queue: Queue, crew: "_Crew", since: str) -> Problem:
    """What no rule of the queue explains: its workers do."""
    subject, serving = f"queue {queue.name}", crew.serving(queue.name)
    if not serving:
        others = " that takes it" if crew.members else ""
        others += f" ({crew.suspended:,} suspended)" if crew.suspended else ""
        return Problem("workers", subject, f"work is due for {since}, and no worker is alive{others}")
    if all(member.runs for member in serving):
        where = f"all {len(serving):,} workers are busy with longer runs"
        if not any(member.works_on(queue.name) for member in serving):
            where = _elsewhere(serving, crew.now)
        return Problem("standstill", subject, f"work is due for {since}: {where}", warning=True)
    return Problem(
        "standstill",
        subject,
        f"work is due for {since}, and no run has begun meanwhile though a worker is free: do beat, the "
        f"control worker and the broker run? `manage.py work --queue {queue.name}` does the work without them",
    )


def _unstarted(names: Iterable[str], since: datetime) -> list[Queue]:
    """The queues, by name, of which no run began since then. A run that did runs still or ended later: for both
    there is an index."""
    began = Run.objects.filter(queue=OuterRef("pk"), started_at__gte=since)
    moved = Exists(began.filter(finished_at__gte=since)) | Exists(began.filter(state=RunState.RUNNING))
    return list(Queue.objects.filter(~moved, name__in=names).order_by("name"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a queue starts nothing now, or that it works. `kind` names the cause for whoever offers a way out."""

    kind: str
    text: str


# A worker that has not been heard of for so long is not expected to start anything.
SILENT = timedelta(seconds=30)
# Workers turn to another queue after a slice of about a second. One whose last run ended so lately goes on.
GOES_ON = timedelta(seconds=5)


def explain(*, name: str, now: datetime) -> Standing:
    """Why nothing of this queue starts now, in one sentence. Reads a bounded number of rows."""
    queue = Queue.objects.get(name=name)
    if queue.paused_at is not None and (queue.paused_until is None or queue.paused_until > now):
        return Standing("paused", f"It is paused{f' by {queue.paused_by}' if queue.paused_by else ''}.")
    waited = _waited(queue)
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
    crew = _crew(now, now - SILENT)
    serving = crew.serving(queue.name)
    if not serving:
        verb = "is" if crew.suspended == 1 else "are"
        more = f"; {crew.suspended:,} {verb} suspended" if crew.suspended else ""
        return Standing("workers", f"Due work waits, and no worker that takes it is alive{more}.")
    if busy := sum(member.works_on(queue.name) for member in crew.members):
        return Standing("busy", f"Work goes on. Workers with a run: {busy:,} of {max(busy, len(serving)):,}.")
    if Run.objects.filter(queue=queue, state=RunState.DONE, finished_at__gte=now - GOES_ON).exists():
        return Standing("busy", "Work goes on: its last run has just ended.")
    if free := sum(not member.runs for member in serving):
        return Standing("starting", f"Due work waits for the next hint. Free workers: {free:,}.")
    return Standing("elsewhere", f"Due work waits: {_elsewhere(serving, now)}.")


def _elsewhere(serving: list["_Member"], now: datetime) -> str:
    """With which queue those that take this one are busy: the one that has most of their runs."""
    runs = [run for member in serving for run in member.runs]
    counts = Counter(name for name, _started in runs)
    most = min(counts, key=lambda name: (-counts[name], name))
    who = "the only worker that takes it is" if len(serving) == 1 else f"all {len(serving):,} workers are"
    others = " and others" if len(counts) > 1 else ""
    oldest = span(now - min(started for _name, started in runs))
    oldest = f"the oldest of these runs for {oldest}" if len(runs) > 1 else f"for {oldest}"
    return f"{who} busy with queue {most}{others}, {oldest}"


def _waited(queue: Queue) -> float | None:
    """For how many seconds the oldest due chunk of an unpaused queue has been due; None when nothing is due."""
    found = store.row("oldest_due", queue=queue.name)
    return None if found is None else float(found[1])


@dataclass(frozen=True, slots=True)
class _Member:
    """A worker that lives: the queues it takes (none named: any), and its runs: the queue of each, and since when."""

    queues: list[str]
    suspended: bool
    runs: list[tuple[str, datetime]]

    def works_on(self, name: str) -> bool:
        """Whether it has a run of this queue."""
        return any(queue == name for queue, _started in self.runs)


@dataclass(frozen=True, slots=True)
class _Crew:
    """The workers that live, read once for all queues at this time."""

    now: datetime
    members: list[_Member]

    @property
    def suspended(self) -> int:
        """How many of them take nothing new."""
        return sum(member.suspended for member in self.members)

    def serving(self, name: str) -> list[_Member]:
        """Those that take work of this queue."""
        return [one for one in self.members if not one.suspended and (not one.queues or name in one.queues)]


def _crew(now: datetime, since: datetime) -> _Crew:
    """The workers heard of since then. Two queries."""
    heard = Worker.objects.exclude(state=WorkerState.STOPPED).filter(heartbeat_at__gte=since)
    workers = list(heard.values_list("pk", "queues", "state"))
    live = Run.objects.filter(worker__in=[pk for pk, *_ in workers], state=RunState.RUNNING, lease_until__gte=now)
    runs: defaultdict[UUID, list[tuple[str, datetime]]] = defaultdict(list)
    for pk, name, started in live.values_list("worker_id", "queue__name", "started_at"):
        runs[pk].append((name, started))
    return _Crew(now, [_Member(queues, state == WorkerState.SUSPENDED, runs[pk]) for pk, queues, state in workers])


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
