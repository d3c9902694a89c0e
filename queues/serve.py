"""A working process: takes runs of a queue for a slice of time, executes them, ends their batches."""

import atexit
import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from django.conf import settings

from queues import handlers, runner, session, shutdown, store
from queues.domain.adaptive import learned_size
from queues.domain.records import Claim, Policy
from queues.domain.states import WorkerCommand
from queues.execution import Execution
from queues.keeper import Keeper
from queues.services import announce, events, finish, reap, workers
from queues.services import claim as claim_service

log = logging.getLogger(__name__)

# Seconds for one queue before the others get their turn, and how long before that the next hint is sent.
SLICE = 1.0
HINT_AHEAD = 0.15
# A suspended worker with a hint in hand looks this often whether it may go on.
LOOK = 0.1
# A process that was told to stop is ended after so many turns of the keeper without a hint: its task has answered then.
IDLE_TURNS = 2


class Server:
    """This process as a worker."""

    def __init__(self, queues: list[str] | None = None, *, hints: bool = True) -> None:
        self.identity = workers.identify()
        self._hints = hints
        self.keeper = Keeper(self.identity.id, self._told_to_stop)
        self._end: Callable[[], object] | None = None
        self._engaged = False
        self._idle_turns = 0
        # The jobs that a run aims at, by queue and handler.
        self._sizes: dict[int, dict[str, int]] = {}
        self._jobs_in_chunk: dict[int, float] = {}
        self._left = False
        workers.register(identity=self.identity, queues=queues or [])
        # A process that has replaced a killed one need not wait for the reaper's turn.
        if workers.bury_dead():
            reap.reap()
        # What is there now stays: the collector would look through all of Django again and again while payloads come
        # and go. Measured with no-op jobs: 12 % of the time.
        gc.collect()
        gc.freeze()
        self.keeper.start()
        atexit.register(self.leave)

    def leave(self) -> None:
        """Say that this worker has stopped."""
        if self._left or self.identity.pid != os.getpid():
            return
        self._left = True
        self.keeper.stop()
        try:
            workers.leave(worker_id=self.identity.id, processed=self.keeper.processed, failed=self.keeper.failed)
        except store.CONNECTION_ERRORS as error:
            log.warning("the worker's end could not be recorded: %s", error)

    def halted(self) -> bool:
        """Whether to claim nothing: for now, or for good."""
        return self.keeper.suspended or shutdown.requested()

    def _told_to_stop(self) -> None:
        """At each turn of the keeper: stop after the job in hand; then end the process, where that was asked for."""
        shutdown.request_here()
        self._idle_turns = 0 if self._engaged else self._idle_turns + 1
        if self._end is not None and self._idle_turns == IDLE_TURNS:
            self._end()

    def ends_by(self, end: Callable[[], object]) -> None:
        """How the process ends when it is told to stop before a hint has come."""
        self._end = end

    @contextmanager
    def engaged(self, end: Callable[[], object] | None) -> Iterator[None]:
        """While a hint is answered, nobody ends the process; `end` does when it was told to stop and has answered."""
        self._end, self._engaged = end, True
        try:
            yield
        finally:
            self._engaged = False

    def hold_back(self, queue_id: int) -> bool:
        """Pass on a hint that a worker told to wait or to stop must not answer; whether it may work after all.

        While suspended it holds this slot, so that no other hint comes here, until it is resumed or is to stop.
        """
        if self.keeper.told is WorkerCommand.NONE:
            return True
        store.run("answer_hint", queue=queue_id)
        self._hint(queue_id)
        while self.halted() and not shutdown.requested():
            sleep(LOOK)
        return not shutdown.requested()

    def serve(self, queue_id: int, seconds: float = SLICE) -> int:
        """Run what is due in a queue until nothing more can be had or the time is over; the jobs that ended.

        Sends a hint for the next free slot when there is more than this one takes (unless made without `hints`).
        """
        store.tune_for_work()
        policy = claim_service.policy(queue_id=queue_id)
        if policy is None:
            return 0
        store.run("answer_hint", queue=queue_id)
        ended, batches, hinted = 0, set[int](), False
        until = monotonic() + seconds
        while not self.halted():
            claim, full = self.take(policy)
            batches = self._finish(batches, claim)
            if claim is None:
                break
            if full and not hinted:
                hinted = self._hint(queue_id)
            ended += self.execute(claim)
            batches |= set(claim.batch_ids)
            left = until - monotonic()
            if left < HINT_AHEAD:
                hinted = self._hint(queue_id) or hinted
            if left <= 0:
                break
        self._finish(batches, None)
        if self.keeper.told is not WorkerCommand.NONE:
            self._hint(queue_id)  # what it has given back is for the others
        return ended

    def _hint(self, queue_id: int) -> bool:
        return self._hints and announce.send_hint(queue_id=queue_id)

    def take(self, policy: Policy) -> tuple[Claim | None, bool]:
        """A loaded claim, and whether it took all that was wanted."""
        queue, sizes = policy.queue_id, self.aims(policy)
        want = policy.run_size if policy.flushes else min(policy.run_start, policy.run_size)
        per_chunk = self._jobs_in_chunk.get(queue, float(policy.chunk_size))
        most = max(want, *sizes.values()) if sizes else want
        look = claim_service.MAX_LOOK if policy.flushes else int(2 * most / max(per_chunk, 1.0)) + 8
        claim = claim_service.claim(
            policy=policy,
            worker_id=self.identity.id,
            want=want,
            wants=sizes,
            lease=settings.LEASE_SECONDS,
            look=look,
        )
        if claim is None:
            return None, False
        claim_service.load(claim=claim)
        jobs = sum(chunk.size for chunk in claim.chunks)
        self._jobs_in_chunk[queue] = jobs / len(claim.chunks)
        return claim, jobs >= sizes.get(claim.handler, want) or len(claim.chunks) >= look or claim.careful

    def aims(self, policy: Policy) -> dict[str, int]:
        """How many jobs a run of this queue aims at, for the handlers that have run here. None when it collects."""
        if policy.flushes:
            return {}
        # A policy may have changed since these were learned.
        return {name: min(size, policy.run_size) for name, size in self._sizes.get(policy.queue_id, {}).items()}

    def execute(self, claim: Claim) -> int:
        """Run a claim to its settle; the number of jobs that ended."""
        execution = Execution(claim, settings.LEASE_SECONDS)
        started, outer = monotonic(), store.in_transaction()
        handled = events.run_started(claim=claim)
        self.keeper.execution = Execution.underway = execution
        try:
            self._call(execution)
            handled = monotonic()
        finally:
            if execution.twin:  # a handler has forked, and its child came back here: the work is the parent's
                os._exit(0)
            self.keeper.execution = Execution.underway = None
            session.mend(session.worker_connection(), outer=outer)
            execution.close()
        if not execution.lost:
            events.run_finished(claim=claim, since=started)
        ended = len(execution.succeeded) + len(execution.others)
        self.keeper.processed += ended
        self.keeper.failed += execution.failed
        if ended == len(claim.ids) and not claim.careful:
            self._learn(claim, ended, handled - started, monotonic() - started)
        return ended

    def _learn(self, claim: Claim, jobs: int, handling: float, elapsed: float) -> None:
        policy = claim.policy
        sizes = self._sizes.setdefault(policy.queue_id, {})
        sizes[claim.handler] = learned_size(
            sizes.get(claim.handler, min(policy.run_start, policy.run_size)),
            jobs,
            handling,
            elapsed,
            target=policy.run_target,
            smallest=min(policy.run_least, policy.run_size),
            largest=policy.run_size,
        )

    def _call(self, execution: Execution) -> None:
        try:
            handler = handlers.find(execution.claim.handler)
        except handlers.UnknownHandler as error:
            # Another version of the code may know it: the jobs wait, no attempt is spent.
            log.error("run %s is given back: %s", execution.claim.run_id, error)
            execution.put_back = dict.fromkeys(range(len(execution.claim.ids)))
            return
        runner.run(execution, handler)

    def _finish(self, batches: set[int], held: Claim | None) -> set[int]:
        """End the batches of which this process holds nothing any more; returns the others."""
        holding = set(held.batch_ids) if held else set()
        if done := batches - holding:
            finish.finish(batches=done)
        return batches & holding


_server: Server | None = None


def server() -> Server:
    """The worker that this process is; registered at its first use, anew after a fork."""
    global _server  # noqa: PLW0603
    if _server is None or _server.identity.pid != os.getpid():
        _server = Server()
    return _server


def join(*, end: Callable[[], object]) -> None:
    """Be known as a worker before the first hint. `end` is how this process ends when it is told to stop."""
    server().ends_by(end)


def serve_queue(queue_id: int, *, end: Callable[[], object] | None = None) -> int:
    """One answer to a hint; the number of jobs that ended. `end` is how this process ends when it is told to stop."""
    try:
        worker = server()
        with worker.engaged(end):
            return worker.serve(queue_id) if worker.hold_back(queue_id) else 0
    except BaseException:
        store.reset()  # whatever is wrong with the session, the next hint begins with another
        raise


def leave() -> None:
    """Say that this process stops working, if it ever did."""
    if _server is not None:
        _server.leave()
