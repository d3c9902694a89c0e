"""Why a batch is not finished: one sentence, and the way out. Pure: facts in, words out.

The first cause that applies is told, from what holds the whole batch to what holds its last jobs. What runs or has
failed beside it is told after it, so that nobody takes the one for the other.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from queues.domain.states import BatchState, StopReason


class WayOut(StrEnum):
    """What a person can do about it; each is one click on a page and one command."""

    NONE = ""
    SEAL = "seal"
    RESUME_BATCH = "resume batch"
    RESUME_QUEUE = "resume queue"
    SEE_BATCH = "see batch"
    SEE_QUEUE = "see queue"
    SEE_WORKERS = "see workers"
    SEE_JOBS = "see jobs"
    CHANGE_POLICY = "change policy"
    RESUME_WORKER = "resume worker"
    RECLAIM = "reclaim"
    RUN_NOW = "run now"
    RETRY_DEAD = "retry dead"
    RETRY_CANCELLED = "retry cancelled"
    RESTORE_CANCELLED = "restore cancelled"
    RUN_AGAIN = "run again"


@dataclass(frozen=True, slots=True)
class Pause:
    """Who has paused a batch or queue, since when and why."""

    by: str
    since: datetime
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run that works on the batch."""

    id: int
    worker: str
    since: datetime
    lease_until: datetime
    worker_id: str = ""
    # Since when nothing has been heard of its worker; None while it lives.
    silent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """A batch that this one waits for."""

    id: int
    name: str
    stage: int


@dataclass(frozen=True, slots=True)
class Facts:
    """How an unfinished batch stands. Counts are of jobs, those of its parts included."""

    now: datetime
    stop_reason: str = ""
    sealed: bool = True
    pause: Pause | None = None
    queue: str = ""
    queue_pause: Pause | None = None
    # What keeps the queue's due work waiting: a kind and a sentence of `services.standstill`.
    queue_stands: tuple[str, str] = ("", "")
    # Workers that would take the queue's work if they were not suspended: id and name.
    suspended: list[tuple[str, str]] = field(default_factory=list)
    # No message for it has been taken by the broker yet; and why the last one could not be sent.
    pending_hand_over: bool = False
    hand_over_error: str = ""
    running: int = 0
    due: int = 0
    later: int = 0
    later_at: datetime | None = None
    retrying: int = 0
    retrying_at: datetime | None = None
    held_stage: int = 0
    held_open: int = 0
    held_paused: int = 0
    dead: int = 0
    runs: list[RunFact] = field(default_factory=list)
    before: list[Before] = field(default_factory=list)

    @property
    def unended(self) -> int:
        """Jobs that have not come to an end."""
        waiting = self.due + self.later + self.retrying
        return self.running + waiting + self.held_stage + self.held_open + self.held_paused


@dataclass(frozen=True, slots=True)
class Answer:
    """One sentence (`text`), what is true beside it (`beside`), and the way out with its subject: a batch's id, a
    queue's name, a worker's id, or the state of the jobs that are meant."""

    kind: str
    text: str
    way_out: WayOut = WayOut.NONE
    subject: str = ""
    beside: str = ""


def why(facts: Facts) -> Answer:
    """Why the batch goes on."""
    for judge in (_stopping, _paused, _open, _ending, _staged, _waiting, _running, _later):
        found = judge(facts)
        if found is not None:
            return _with_beside(facts, found)
    # What is held although nothing holds it: a resumption that was made by hand, or a broken invariant.
    return Answer("held", f"{_jobs(facts.unended)} held, and nothing says by what: run `manage.py doctor --counts`.")


def _stopping(facts: Facts) -> Answer | None:
    if not facts.stop_reason:
        return None
    cause = {
        StopReason.FAIL_FAST: "a job of it died (fail fast)",
        StopReason.CANCELLED: "somebody has cancelled it",
        StopReason.UPSTREAM: "a batch before it has not ended as it should",
    }[StopReason(facts.stop_reason)]
    if facts.running:
        rest = f"{_jobs(facts.running)} still running and stop before their next job, within two seconds"
    else:
        rest = "its end is written within seconds"
    return Answer("stopping", f"It is stopping, because {cause}: {rest}.")


def _paused(facts: Facts) -> Answer | None:
    if facts.pause is None:
        return None
    held = f"; {_jobs(facts.held_paused)} held" if facts.held_paused else ""
    return Answer("paused", f"It is paused{_by(facts.pause)}{held}.", WayOut.RESUME_BATCH)


def _open(facts: Facts) -> Answer | None:
    if facts.sealed:
        return None
    held = f" and {_jobs(facts.held_open)} held until then" if facts.held_open else ""
    return Answer("open", f"It is still open for more jobs{held}: seal it to let it run.", WayOut.SEAL)


def _ending(facts: Facts) -> Answer | None:
    if facts.unended or facts.before:
        return None
    return Answer("ending", "All its jobs have ended: its end is written within seconds.")


def _staged(facts: Facts) -> Answer | None:
    if not facts.before:
        return None
    first = facts.before[0]
    more = f" and {len(facts.before) - 1:,} more" if len(facts.before) > 1 else ""
    name = f" “{first.name}”" if first.name else ""
    text = f"It waits for stage {first.stage}: batch {first.id}{name}{more}."
    return Answer("stage", text, WayOut.SEE_BATCH, str(first.id))


def _waiting(facts: Facts) -> Answer | None:
    if not facts.due:
        return None
    if facts.queue_pause is not None:
        end = f" until {_clock(facts.queue_pause.until)}" if facts.queue_pause.until else ""
        text = f"Its queue {facts.queue} is paused{_by(facts.queue_pause)}{end}; {_jobs(facts.due)} waiting."
        return Answer("queue paused", text, WayOut.RESUME_QUEUE, facts.queue)
    return _standing(facts) or (None if facts.running else _for_a_worker(facts))


def _standing(facts: Facts) -> Answer | None:
    """Due jobs that a person must help: nobody takes them, or a rule of their queue holds them."""
    kind, sentence = facts.queue_stands
    if kind == "workers" and facts.suspended:
        worker, name = facts.suspended[0]
        who = f"worker {name} is" if len(facts.suspended) == 1 else f"{len(facts.suspended):,} workers are"
        text = f"{_jobs(facts.due)} due in queue {facts.queue}, and no worker takes them: {who} suspended."
        return Answer("suspended", text, WayOut.RESUME_WORKER, worker)
    if kind == "workers":
        text = f"{_jobs(facts.due)} due in queue {facts.queue}. {sentence}"
        return Answer("workers", text, WayOut.SEE_WORKERS, facts.queue)
    if kind in ("limit", "rate", "flush"):
        text = f"{_jobs(facts.due)} waiting in queue {facts.queue}. {sentence}"
        return Answer(kind, text, WayOut.CHANGE_POLICY, facts.queue)
    return None


def _for_a_worker(facts: Facts) -> Answer:
    """Due jobs that wait for nothing but a worker that comes."""
    kind, sentence = facts.queue_stands
    if facts.pending_hand_over and kind == "starting":
        cause = f": {facts.hand_over_error}" if facts.hand_over_error else ""
        text = f"The broker has not been told of it yet{cause}; it is told again every second. {_jobs(facts.due)} due."
        return Answer("hand-over", text, WayOut.SEE_QUEUE, facts.queue)
    text = f"{_jobs(facts.due)} waiting for a worker in queue {facts.queue}. {sentence}".rstrip()
    if kind == "elsewhere":
        return Answer(kind, text, WayOut.SEE_WORKERS, facts.queue)
    return Answer("waiting", text, WayOut.SEE_QUEUE, facts.queue)


def _running(facts: Facts) -> Answer | None:
    if not facts.running:
        return None
    oldest = min(facts.runs, key=lambda run: run.since, default=None)
    if oldest is None:
        return Answer("running", f"{_jobs(facts.running)} running.", WayOut.SEE_JOBS)
    worker = f" with worker {oldest.worker}" if oldest.worker else ""
    since = f"since {_clock(oldest.since)}{worker}"
    if oldest.lease_until < facts.now:
        text = f"The lease of run {oldest.id}, at work {since}, has ended: what it holds is taken back now."
        return Answer("lost", text, WayOut.SEE_WORKERS)
    silent = min((run for run in facts.runs if run.silent_since), key=lambda run: run.lease_until, default=None)
    if silent is not None:
        text = (
            f"Worker {silent.worker} has not been heard of since {_clock(silent.silent_since)}: what run "
            f"{silent.id} holds is taken back when its lease ends, at {_clock(silent.lease_until)}."
        )
        return Answer("silent", text, WayOut.RECLAIM, silent.worker_id)
    several = f", the oldest of {len(facts.runs):,} runs" if len(facts.runs) > 1 else ""
    behind = f"; {_jobs(facts.due)} waiting behind them" if facts.due else ""
    return Answer("running", f"{_jobs(facts.running)} running {since}{several}{behind}.", WayOut.SEE_JOBS)


def _later(facts: Facts) -> Answer | None:
    if facts.retrying:
        many = f"{_jobs(facts.retrying)} tried again"
        at = f", the next at {_clock(facts.retrying_at)}" if facts.retrying_at else ""
        return Answer("retrying", f"{many} after a failure{at}.", WayOut.RUN_NOW, "retrying")
    if facts.later:
        at = f", the next for {_clock(facts.later_at)}" if facts.later_at else ""
        return Answer("scheduled", f"{_jobs(facts.later)} scheduled{at}.", WayOut.RUN_NOW, "scheduled")
    return None


def short_of_success(
    *,
    state: BatchState,
    stop: StopReason,
    total: int,
    dead: int,
    cancelled: int,
    deleted: int,
    archived: bool = False,
) -> Answer | None:
    """Why an ended batch is not complete; None for one that is. `archived`: its cancelled jobs are in the archive."""
    if state in (BatchState.RUNNING, BatchState.COMPLETED):
        return None
    parts = [f"{count:,} {word}" for count, word in ((dead, "died"), (cancelled, "were cancelled")) if count]
    parts += [f"{deleted:,} were deleted"] if deleted else []
    sum_ = f": of its {total:,} jobs {_listed(parts)}" if parts else ""
    cause = {
        StopReason.NONE: f"It is {state}",
        StopReason.FAIL_FAST: "It was stopped by its first dead job (fail fast)",
        StopReason.CANCELLED: "It was cancelled by somebody",
        StopReason.UPSTREAM: "It was stopped, because a batch before it has not ended as it should",
    }[stop]
    again = WayOut.RESTORE_CANCELLED if archived else WayOut.RETRY_CANCELLED
    way_out = WayOut.RETRY_DEAD if dead else again if cancelled else WayOut.RUN_AGAIN
    return Answer("short", f"{cause}{sum_}.", way_out)


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _with_beside(facts: Facts, found: Answer) -> Answer:
    beside = []
    if facts.running and found.kind not in ("running", "lost", "silent", "stopping"):
        beside.append(f"{_jobs(facts.running)} running meanwhile and finish.")
    if facts.dead:
        ones, they = ("dead letter does", "it waits") if facts.dead == 1 else ("dead letters do", "they wait")
        beside.append(f"Its {facts.dead:,} {ones} not hold it: {they} for a person.")
    return Answer(found.kind, found.text, found.way_out, found.subject, " ".join(beside))


def _jobs(count: int) -> str:
    return "1 job is" if count == 1 else f"{count:,} jobs are"


def _by(pause: Pause) -> str:
    by = f" by {pause.by}" if pause.by else ""
    reason = f" ({pause.reason})" if pause.reason else ""
    return f"{by} since {_clock(pause.since)}{reason}"


def _clock(moment: datetime | None) -> str:
    """A time of the database's clock, written so that a page can show it in the reader's own zone."""
    return "later" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
