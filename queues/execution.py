"""One run from claim to settle: what has ended so far, and its commits.

Two threads meet here. The main one calls the handler and notes how each job ended; the keeper renews the
lease, commits checkpoints and watches the clock. They share append-only lists and dicts, and one lock for
commits. The fence's step moves only under that lock.
"""

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import ClassVar, TypeVar

from queues import codec, shutdown, signals, store
from queues.domain.fingerprint import fingerprint
from queues.domain.outcomes import Cancel, Fail, Failure, Outcome, Reject, Snooze, Success
from queues.domain.payload import PayloadError
from queues.domain.percentiles import summary
from queues.domain.records import Claim, Timing
from queues.domain.settlement import Ended, Progress
from queues.domain.states import AttemptKind
from queues.domain.traces import describe
from queues.pieces import Pieces
from queues.services import settle as settle_service
from queues.services.settle import LeaseLost

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between the commits of a run. With the keeper's tick it stays below the 2 s that are promised.
CHECKPOINT_EVERY = 1.5
# A job that is this long past its time, and cannot be interrupted, takes its process with it.
TIMEOUT_GRACE = 2.0
# How long a commit is tried again while the database is away. The lease may end meanwhile; the fence tells.
COMMIT_PATIENCE = 120.0
EXIT_TIMEOUT = 70
# Beyond these PostgreSQL and Python disagree about what is a time; who means "never" wants Cancel.
LONGEST_SNOOZE = 100 * 365 * 86_400.0
LAST_YEAR = 9_999


def _can_wait(until: object) -> bool:
    if isinstance(until, datetime):
        return until.tzinfo is not None and until.year < LAST_YEAR
    return isinstance(until, (int, float)) and abs(until) < LONGEST_SNOOZE


class Execution:
    """The state of one run in this process."""

    underway: ClassVar["Execution | None"] = None  # the run that this process is working on

    def __init__(self, claim: Claim, lease: float) -> None:
        self.claim = claim
        self.lease = lease
        self.step = 0
        self.progress: dict[int, Progress] = {chunk.id: Progress.of(chunk) for chunk in claim.chunks}
        self.succeeded: list[int] = []
        self.others: dict[int, Failure | Outcome] = {}
        self.values: dict[int, str] = {}
        self.durations: list[float] = []
        self.stopping = {batch.id for batch in claim.batches.values() if batch.stopping}
        self.lost = False
        self.told = False  # the worker is told to suspend or to stop
        self.twin = False  # this is the copy in a process that the handler has forked
        self.late = 0
        self.running: dict[int, float] = {}  # jobs with a timeout that are with the handler, since when
        self._overdue: set[int] = set()
        self.put_back: dict[int, Failure | None] = {}
        self.final: set[int] = set()
        self.fresh = False
        self.holds_successes = False
        self._recorded = 0
        self._recorded_others: set[int] = set()
        self._unanswered: Ended | None = None  # a checkpoint that may or may not have arrived
        self._kept: list[signals.Told] = []  # sent at the end: receivers may be slow, and leases are short
        self._lock = threading.Lock()
        self._closed = False
        self._renewed = monotonic()
        pieces = claim.policy.settle_jobs
        self.pieces = Pieces(self, pieces) if pieces else None

    @property
    def failed(self) -> int:
        """Failed tries so far."""
        return sum(isinstance(end, Failure) for end in self.others.values())

    def halted(self) -> bool:
        """Whether to start no further job: the lease is gone, or the worker is to stop or to wait."""
        return self.lost or self.told or shutdown.requested()

    def ended(self) -> bool:
        """Whether nobody settles any more, or nothing further is to start."""
        return self._closed or self.halted()

    def skips(self, index: int) -> bool:
        """Whether the job's batch is stopping."""
        return bool(self.stopping) and self.claim.chunk_of(index).batch_id in self.stopping

    # What the handler said

    def note(self, index: int, value: object, started: float) -> None:
        """The handler has returned or raised an outcome other than plain success."""
        if not isinstance(value, Outcome):
            value = Success(value)
        match value:
            case Success(value=result):
                if not self._keep(index, result, started):
                    return
                self.succeeded.append(index)
            case Fail(reason=reason):
                self._fail(index, AttemptKind.ERROR, "Fail", reason, started)
            case Reject(reason=reason):
                self._fail(index, AttemptKind.REJECTED, "Reject", reason, started)
            case Snooze(until=until) if not _can_wait(until):
                self._fail(index, AttemptKind.ERROR, "BadSnooze", f"no job can wait until {until!r}", started)
            case Snooze() | Cancel():
                self.others[index] = value
            case _:
                name = type(value).__name__
                self._fail(index, AttemptKind.ERROR, name, f"{name} is no outcome that is known", started)

    def note_error(self, index: int, error: BaseException, started: float) -> None:
        """The handler has raised something else."""
        facts = describe(error)
        self.others[index] = Failure(
            AttemptKind.ERROR,
            facts.error_class[:200],
            facts.message,
            facts.traceback,
            fingerprint(facts.error_class, facts.place, facts.message),
            started,
            monotonic(),
        )

    def note_timeout(self, index: int, started: float) -> None:
        """The job's time was up."""
        self._fail(
            index,
            AttemptKind.TIMEOUT,
            "Timeout",
            f"not done within the queue's timeout of {self.claim.policy.timeout:g} s",
            started,
        )

    def note_left_open(self, index: int, started: float) -> None:
        """The handler came back with a transaction open: what it wrote there will not be committed."""
        self._fail(
            index,
            AttemptKind.ERROR,
            "OpenTransaction",
            "the handler returned with a database transaction still open; it was rolled back",
            started,
        )

    def _fail(self, index: int, kind: AttemptKind, error_class: str, message: str, started: float) -> None:
        from queues.domain.text import clean

        self.others[index] = Failure(
            kind,
            error_class,
            clean(str(message)),
            "",
            fingerprint(error_class, self.claim.handler, str(message)),
            started,
            monotonic(),
        )

    def _keep(self, index: int, result: object, started: float) -> bool:
        if result is None or self.claim.policy.keep_results is None:
            return True
        try:
            self.values[index] = codec.encode(result)
        except PayloadError as error:
            self._fail(index, AttemptKind.ERROR, "BadResult", f"the handler's result cannot be kept: {error}", started)
            return False
        return True

    # Commits

    def tick(self) -> None:
        """The keeper's turn: a checkpoint when something has ended, else a renewal, when either is due."""
        self._watch()
        if monotonic() - self._renewed < min(CHECKPOINT_EVERY, self.lease / 4) or self._closed or self.lost:
            return
        with self._lock:
            if self._closed or self.lost:
                return
            self._renewed = monotonic()
            ended = self._unanswered or self._ended()
            if ended.any and not self.holds_successes:
                self._settle(ended, final=False)
            else:
                found = store.row("renew", run=self.claim.run_id, lease=self.lease, batches=self.claim.batch_ids)
                self.lost = not found or not found[0]
                if found:
                    self.stopping |= set(found[1])

    def checkpoint(self) -> None:
        """Commit what has ended by now, on this thread's session. Raises what the database says."""
        with self._lock:
            if self._closed or self.lost or self.holds_successes:
                return
            self._renewed = monotonic()
            ended = self._unanswered or self._ended()
            if ended.any:
                self._settle(ended, final=False)

    def close(self) -> None:
        """The last commit: everything that has ended, and the rest given back. Counts what came too late."""
        with self._lock:
            self._closed = True
            if not self.lost:
                self._persist(self._close)
            if self.pieces is not None and not self.lost:
                self.pieces.report()
            if self.lost:
                self.late = len(self.succeeded) + len(self.others) - self._recorded - len(self._recorded_others)
                log.warning("run %s: lease lost, %s late results dropped", self.claim.run_id, self.late)
                self._persist(lambda: store.run("count_late", run=self.claim.run_id, late=self.late))
        signals.send_kept(self._kept)

    def _close(self) -> None:
        if self._unanswered is not None:
            self._settle(self._unanswered, final=False)
            if self.lost:
                return
        ended = self._ended()
        all_ended = len(self.succeeded) + len(self.others) == len(self.claim.ids)
        plain = not (ended.others or ended.values or ended.put_back) and self.claim.policy.keep_results is None
        if plain and all_ended and not any(chunk.has_keys for chunk in self.claim.chunks):
            try:
                settle_service.settle_whole(claim=self.claim, step=self.step, timing=self._timing())
            except LeaseLost:
                self.lost = True
            return
        self._settle(ended, final=True)

    def _settle(self, ended: Ended, *, final: bool) -> None:
        succeeded, others = len(ended.succeeded), set(ended.others)
        # Repeated as it is: what has ended since then would pass for recorded if the first try had arrived.
        self._unanswered = None if final else ended
        try:
            with signals.kept(self._kept):
                self.progress, stopping = settle_service.settle(
                    claim=self.claim,
                    step=self.step,
                    progress=self.progress,
                    ended=ended,
                    final=final,
                    lease=self.lease,
                    timing=self._timing() if final else None,
                )
        except LeaseLost:
            self.lost = True
            return
        self._unanswered = None
        self.step += 1
        self.stopping |= stopping
        self._recorded += succeeded
        self._recorded_others |= others

    def _ended(self) -> Ended:
        """What has ended since the last commit. The main thread may go on appending meanwhile."""
        others = {i: end for i, end in list(self.others.items()) if i not in self._recorded_others}
        succeeded = self.succeeded[self._recorded :]
        if self._overdue:
            succeeded = [index for index in succeeded if index not in self._overdue]
        values = {i: self.values[i] for i in succeeded if i in self.values} if self.values else {}
        return Ended(succeeded, others, dict(self.put_back), set(self.final), self.fresh, values)

    def _timing(self) -> Timing:
        if not self.durations:
            return Timing()
        found = summary(self.durations)
        return Timing(found.p50 * 1000, found.p95 * 1000, found.max * 1000)

    def _persist(self, commit: Callable[[], T]) -> T:
        """Commit; while the database is away, or once when the session may be at fault, try again."""
        deadline, pause, fresh = monotonic() + COMMIT_PATIENCE, 0.05, False
        while True:
            try:
                return commit()
            except store.CONNECTION_ERRORS as error:
                store.reset()
                if monotonic() > deadline:
                    raise
                log.warning("run %s: the database is away, trying again: %s", self.claim.run_id, error)
                threading.Event().wait(pause)
                pause = min(pause * 2, 1.0)
            except store.DATABASE_ERRORS as error:
                # A handler may have changed the session's settings: a fresh one gets one more chance.
                store.reset()
                if fresh:
                    raise
                fresh = True
                log.warning("run %s: trying again in a new session: %s", self.claim.run_id, error)

    def _watch(self) -> None:
        """End the process when a job cannot be interrupted: its time is recorded, the rest is given back."""
        timeout = self.claim.policy.timeout
        if timeout is None or not self.running or self._closed:
            return
        limit = monotonic() - timeout - TIMEOUT_GRACE
        overdue = {index: started for index, started in list(self.running.items()) if started < limit}
        if not overdue:
            return
        # From here on they have timed out, even if the handler comes back before the process has ended.
        self._overdue = set(overdue)
        for index, started in overdue.items():
            log.error("job %s ignores its timeout; this process ends", self.claim.ids[index])
            self.note_timeout(index, started)
        self.close()
        os._exit(EXIT_TIMEOUT)


def _after_fork() -> None:
    """In a process that a handler has forked: stop at the next job, and leave the parent's lease alone."""
    if Execution.underway is not None:
        Execution.underway.twin = Execution.underway.lost = True


os.register_at_fork(after_in_child=_after_fork)
