"""What a consumer holds: some jobs of one queue for some time, settled and given back piece by piece.

How its commits stay true is told in `services.hold`.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Protocol, overload

from queues import store
from queues.domain.outcomes import Failure, Job, Outcome, Return
from queues.domain.records import Claim
from queues.domain.settlement import Ended
from queues.domain.states import RunState
from queues.execution import Execution
from queues.services import finish
from queues.services.hold import Commit
from queues.services.settle import LeaseLost

log = logging.getLogger(__name__)

SHORTEST_LEASE, LONGEST_LEASE = 0.1, 7 * 86_400.0
LONGEST_DELAY = 100 * 365 * 86_400.0
# A commit is tried again while the database is away; pauses in seconds.
RETRIES = (0.1, 0.3, 1.0, 2.0)


class Home(Protocol):
    """Who holds leases."""

    def halted(self) -> bool:
        """Whether to start no further job."""

    def counted(self, jobs: int, failed: int) -> None:
        """So many jobs have been settled."""

    def closed(self, lease: "Lease") -> None:
        """This lease is over."""


def checked_seconds(name: str, value: object, least: float, most: float) -> float:
    """A number of seconds. Raises `ValueError` naming the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name}: {value!r} is no number of seconds")
    if not least <= value <= most:
        raise ValueError(f"{name}: {value:g} s is not from {least:g} to {most:g} s")
    return float(value)


class Lease:
    """Jobs held for a time. False, and empty, when there was nothing to be had. A context manager.

    Iterating gives the jobs that have not been settled here; it ends early when the consumer is told to stop or to
    wait, when the lease is known to be lost, and leaves out jobs whose batch is stopping.
    """

    def __init__(self, home: Home, queue: str, claim: Claim | None, seconds: float, shown: int, renew: bool) -> None:
        self.queue = queue
        self.handler = claim.handler if claim else ""
        self.run_id = claim.run_id if claim else None
        self.lost = False
        self._home, self._claim, self._seconds, self._renews = home, claim, seconds, renew
        self._ids = claim.ids[:shown] if claim else []
        self._places = {job: index for index, job in enumerate(self._ids)}
        self._said: set[int] = set()  # indexes, by memory: only the database knows
        self._stopping = {b.id for b in claim.batches.values() if b.stopping} if claim else set[int]()
        self._started = self._renewed = monotonic()
        self._over = claim is None
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """How many jobs were handed out."""
        return len(self._ids)

    def __iter__(self) -> Iterator[Job]:
        """The jobs, in the order of service."""
        claim = self._claim
        for index, job in enumerate(self._ids):
            if claim is None or self.lost or self._home.halted():
                return
            batch = claim.chunk_of(index).batch_id
            if index not in self._said and batch not in self._stopping:
                yield Job(job, claim.payloads[index], claim.failures[index] + 1, batch, claim.policy.name)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except store.DATABASE_ERRORS as failed:
            if error is None:
                raise
            # The error that is on its way tells more; the lease ends by itself.
            log.warning("run %s could not be given back: %s", self.run_id, failed)

    def extend(self, seconds: float) -> datetime:
        """Add to the lease; returns its new end, at most seven days from now. Raises `LeaseLost`."""
        seconds = checked_seconds("extend", seconds, 0.001, LONGEST_LEASE)
        with self._lock:
            found = store.one("extend_lease", run=self.run_id, seconds=seconds, most=LONGEST_LEASE)
            if found is None:
                state, _step = store.row("read_fence", run=self.run_id) or (RunState.LOST, 0)
                self.lost = state == RunState.LOST
                raise LeaseLost(f"run {self.run_id} is {'no longer held' if self.lost else 'over'}")
        end: datetime = found
        return end

    @overload
    def settle(self, outcomes: Mapping[int, Any]) -> dict[int, bool]: ...
    @overload
    def settle(self, *, ids: Iterable[int]) -> list[bool]: ...
    def settle(
        self, outcomes: Mapping[int, Any] | None = None, *, ids: Iterable[int] | None = None
    ) -> dict[int, bool] | list[bool]:
        """Record how jobs ended: outcomes by id (what a handler would return or raise), or `ids` that succeeded.

        True for each job whose end this call has recorded. False, and nothing written, for a job that was not handed
        out here, has been settled before, or whose lease is lost.
        """
        if (outcomes is None) == (ids is None):
            raise TypeError("settle: either outcomes by job id, or ids=[...] that succeeded")
        if outcomes is not None:
            recorded = self._settle({_job_id("settle", job): said for job, said in outcomes.items()})
            return {job: job in recorded for job in outcomes}
        return self._in_order([_job_id("settle", job) for job in ids or ()], self._settle)

    def release(self, ids: Iterable[int] | None = None, *, delay: float = 0.0) -> list[bool]:
        """Give back some jobs, or all that have not been settled, to be had again at once or after `delay` seconds.

        Spends no attempt. True for each job that this call has given back; without ids, for all of the lease in order.
        """
        delay = checked_seconds("delay", delay, 0.0, LONGEST_DELAY)
        if ids is not None:
            given = [_job_id("release", job) for job in ids]
            return self._in_order(given, lambda jobs: self._give_back(jobs, delay))
        if delay and self._claim is not None and len(self._ids) < len(self._claim.ids):
            # Their chunk has jobs that were not handed out, which are not to wait.
            return self._in_order(self._ids, lambda jobs: self._give_back(jobs, delay))
        with self._lock:
            recorded = self._commit(Ended(), rest=True, delay=delay)
        return [job in recorded for job in self._ids]

    def close(self) -> None:
        """Give back what has not been settled, and let go. Where the database is away, the lease ends by itself."""
        with self._lock:
            try:
                if not (self._over or self.lost):
                    self._commit(Ended(), rest=True)
            except store.CONNECTION_ERRORS as error:
                log.warning("run %s is given back when its lease ends: %s", self.run_id, error)
            finally:
                self._over = True
                self._home.closed(self)

    def tick(self) -> None:
        """The keeper's turn: renew, where that was asked for, and learn which batches are stopping."""
        if not self._renews or self._over or self.lost or monotonic() - self._renewed < min(1.5, self._seconds / 4):
            return
        self._renewed, claim = monotonic(), self._claim
        found = store.row("keep_lease", run=self.run_id, lease=self._seconds, batches=claim.batch_ids if claim else [])
        if found is not None:
            state, stopping = found
            self.lost = state == RunState.LOST
            self._stopping |= set(stopping)

    def _in_order(self, jobs: list[int], verb: Callable[[dict[int, Any]], set[int]]) -> list[bool]:
        """One answer for each place; the second mention of a job is False."""
        recorded = verb(dict.fromkeys(jobs))
        answers = []
        for job in jobs:
            answers.append(job in recorded)
            recorded.discard(job)
        return answers

    def _settle(self, said: Mapping[int, Any]) -> set[int]:
        claim = self._claim
        known = [(self._places[job], value) for job, value in said.items() if job in self._places]
        if claim is None or not known:
            return set()
        # Judged as what a handler says.
        judged = Execution(claim, self._seconds)
        for index, value in known:
            if isinstance(value, BaseException) and not isinstance(value, Outcome):
                judged.note_error(index, value, self._started)
            else:
                judged.note(index, value, self._started)
        with self._lock:
            return self._commit(Ended(list(judged.succeeded), dict(judged.others), values=dict(judged.values)))

    def _give_back(self, jobs: Iterable[int], delay: float) -> set[int]:
        indexes = [self._places[job] for job in jobs if job in self._places]
        if not indexes:
            return set()
        with self._lock:
            return self._commit(Ended(others={index: Return(delay) for index in indexes}))

    def _commit(self, ended: Ended, *, rest: bool = False, delay: float = 0.0) -> set[int]:
        """Write what has ended, with `rest` also give back what has not; the ids that this has changed.

        Repeated while the database is away. Whether a commit had arrived whose answer was lost, its step tells.
        """
        if self._claim is None:
            return set()
        commit = Commit(self._claim, self._ids, self._said, ended, rest, delay)
        for pause in (*RETRIES, None):
            try:
                commit.make()
                break
            except LeaseLost:
                self._lose(len(ended.succeeded) + sum(not isinstance(end, Return) for end in ended.others.values()))
                return set()
            except store.CONNECTION_ERRORS as error:
                if pause is None or store.in_transaction():
                    raise
                log.warning("run %s: the database is away, trying again: %s", self.run_id, error)
                store.reset()
                sleep(pause)
        self._said |= {self._places[job] for job in commit.changed}
        self._stopping |= commit.stopping
        others = commit.ended.others.values()
        if commit.changed:
            returned = len(commit.changed) if rest else sum(isinstance(end, Return) for end in others)
            self._home.counted(len(commit.changed) - returned, sum(isinstance(end, Failure) for end in others))
            store.on_commit(partial(finish.finish, batches=self._claim.batch_ids))
        return set(commit.changed)

    def _lose(self, late: int) -> None:
        if late:
            store.run("count_late", run=self.run_id, late=late)
        log.warning("run %s: lease lost, %s late results dropped", self.run_id, late)
        self.lost = True


def _job_id(verb: str, job: object) -> int:
    if isinstance(job, bool) or not isinstance(job, int):
        raise TypeError(f"{verb}: {job!r} is no job id")
    return job
