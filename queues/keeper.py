"""The thread beside the work: renews leases, commits checkpoints, sends heartbeats. One for each process."""

import logging
import threading
from time import monotonic
from uuid import UUID

from queues import store
from queues.domain.states import WorkerState
from queues.execution import Execution
from queues.services import workers

log = logging.getLogger(__name__)

TICK = 0.25
HEARTBEAT_EVERY = 5.0


class Keeper:
    """Looks after at most one execution, on a database connection of its own."""

    def __init__(self, worker_id: UUID) -> None:
        self.worker_id = worker_id
        self.execution: Execution | None = None
        self.processed = 0
        self.failed = 0
        self._beaten = monotonic()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped = True
        self._wake.set()
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
        if monotonic() - self._beaten >= HEARTBEAT_EVERY:
            self._beaten = monotonic()
            processed, failed = self.processed, self.failed
            state = WorkerState.POLLING if execution is None else WorkerState.READY
            if workers.beat(worker_id=self.worker_id, state=state, processed=processed, failed=failed):
                self.processed -= processed
                self.failed -= failed
