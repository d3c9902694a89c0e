"""A long run in pieces: settled after each so many jobs, with a line of progress in the log.

Only jobs that have not been settled run again after a crash: with pieces that is a number of jobs, and not only a time.
"""

import logging
import threading
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from queues import store

if TYPE_CHECKING:
    from queues.execution import Execution

log = logging.getLogger(__name__)


class Pieces:
    """The pieces of one run. Settled in the main thread alone, whose session no handler's threads share."""

    def __init__(self, execution: "Execution", jobs: int) -> None:
        self._execution = execution
        self._jobs = jobs
        self._next = jobs
        self._started = monotonic()
        self._requests: SimpleQueue[threading.Event | None] = SimpleQueue()

    @property
    def _ended(self) -> int:
        return len(self._execution.succeeded) + len(self._execution.others)

    def due(self) -> bool:
        """Whether a piece has ended that is not yet settled."""
        return self._ended >= self._next

    def settle(self) -> None:
        """Settle what has ended, and say how far the run is. What the database refuses now is tried again later."""
        try:
            self._execution.checkpoint()
        except store.DATABASE_ERRORS as error:
            # The keeper, or the run's end, repeats it as it is; the session may be at fault.
            log.warning("run %s: a piece is settled later: %s", self._execution.claim.run_id, error)
            store.reset()
        if not self._execution.lost:
            self.report()
        self._next = self._ended + self._jobs

    def halted(self) -> bool:
        """Between two jobs: settle a piece that has ended; whether to start no further job."""
        if self.due():
            self.settle()
        return self._execution.halted()

    def report(self) -> None:
        """A line of progress."""
        ended, seconds = self._ended, max(monotonic() - self._started, 1e-6)
        log.info(
            "run %s: %s of %s jobs, %s failed, %s jobs/s",
            self._execution.claim.run_id,
            f"{ended:,}",
            f"{len(self._execution.claim.ids):,}",
            f"{self._execution.failed:,}",
            f"{ended / seconds:,.0f}",
        )

    # With threads, the main one has nothing to do but this.

    def ask(self) -> None:
        """From a thread that may start no job before a piece is settled: let the main thread settle it."""
        done = threading.Event()
        self._requests.put(done)
        # A main thread that was interrupted answers nobody any more.
        while not done.wait(0.5) and not self._execution.ended():
            pass

    def leave(self) -> None:
        """From a thread that has done its work."""
        self._requests.put(None)

    def answer(self, threads: int) -> None:
        """In the main thread: settle whenever that is asked for, until so many threads have left."""
        while threads:
            asked = self._requests.get()
            if asked is None:
                threads -= 1
                continue
            try:
                self.settle()
            finally:
                asked.set()
