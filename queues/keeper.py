"""The thread beside the work: renews leases, commits checkpoints, sends heartbeats, hears what the worker is told."""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from uuid import UUID

from queues import shutdown, store
from queues.domain.states import WorkerCommand, WorkerState
from queues.services import workers

log = logging.getLogger(__name__)

TICK = 0.25
HEARTBEAT_EVERY = 5.0
# With the tick, an order is obeyed within 2 s of its commit. One look by primary key.
LISTEN_EVERY = 1.0

# States that those who watch are to see at once, not at the next heartbeat.
_SEEN_AT_ONCE = (WorkerState.SUSPENDED, WorkerState.INTERRUPTED)


class Work(Protocol):
    """What a worker has in hand. With `told`, it starts no further job and gives back the rest."""

    told: bool

    def tick(self) -> None:
        """The keeper's turn."""


class Keeper:
    """Looks after what one worker has in hand, on a database connection of its own.

    `on_stop` is called at every turn once the worker has been told to stop.
    """

    def __init__(self, worker_id: UUID, on_stop: Callable[[], None] = shutdown.request_here) -> None:
        self.worker_id = worker_id
        self.execution: Work | None = None
        self.told = WorkerCommand.NONE  # to suspend or to stop, while that is in force
        self.processed = 0
        self.failed = 0
        self._on_stop = on_stop
        self._beaten = self._listened = monotonic()
        self._shown = WorkerState.READY
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    @property
    def suspended(self) -> bool:
        """Whether the worker is to claim nothing for now."""
        return self.told is WorkerCommand.SUSPEND

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it, unless it is the one that asks."""
        self._stopped = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(TICK)
            try:
                self._tick()
            except store.CONNECTION_ERRORS as error:
                log.warning("the keeper lost its connection: %s", error)
                store.reset()
            except Exception:
                log.exception("the keeper goes on after an error")
        store.reset()

    def _tick(self) -> None:
        execution = self.execution
        if execution is not None:
            execution.tick()
        resumed = self._listen() if monotonic() - self._listened >= LISTEN_EVERY else False
        if self.told is not WorkerCommand.NONE and execution is not None:
            execution.told = True  # at each turn: the work in hand may be newer than the order
        state = self._state()
        changed = state is not self._shown and (state in _SEEN_AT_ONCE or self._shown in _SEEN_AT_ONCE)
        if resumed or changed or monotonic() - self._beaten >= HEARTBEAT_EVERY:
            self._beat(state)
        if self.told is WorkerCommand.STOP:
            self._on_stop()

    def _listen(self) -> bool:
        """Hear the order in force; whether it is to resume. A stop is not taken back."""
        self._listened = monotonic()
        command = store.one("worker_command", worker=self.worker_id)
        if command is None or self.told is WorkerCommand.STOP:
            return False
        told = WorkerCommand(command)
        resume = told is WorkerCommand.RESUME
        told = WorkerCommand.NONE if resume else told
        if told is not self.told:
            log.info("worker %s is told: %s", self.worker_id, command or "nothing")
        self.told = told
        return resume

    def _state(self) -> WorkerState:
        if self.told is WorkerCommand.STOP or shutdown.requested():
            return WorkerState.INTERRUPTED
        if self.execution is not None:
            return WorkerState.READY
        return WorkerState.SUSPENDED if self.suspended else WorkerState.POLLING

    def _beat(self, state: WorkerState) -> None:
        self._beaten = monotonic()
        processed, failed = self.processed, self.failed
        if workers.beat(worker_id=self.worker_id, state=state, processed=processed, failed=failed):
            self.processed -= processed
            self.failed -= failed
        self._shown = state
