"""A worker without Celery: one loop in the foreground that serves what is due, and does the control tasks too."""

import logging
from collections.abc import Callable, Collection
from time import monotonic, sleep

from queues import shutdown, store
from queues.serve import Server
from queues.services import announce, finish, operate, reap

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
# A signal is noticed within this time, however long the pause.
LOOK = 0.05

# Nobody else may be there to ring: seconds between two turns of each control task.
ERRANDS: dict[str, tuple[Callable[[], object], float]] = {
    "reap": (reap.reap, 2.0),
    "finish": (finish.sweep, 5.0),
    "operate": (operate.advance_all, 2.0),
    "drive": (announce.drive, 5.0),
}


class Foreground:
    """Serves some queues, or all, until it is asked to stop."""

    def __init__(self, names: Collection[str] = (), queue_ids: Collection[int] = ()) -> None:
        """Register as a worker. No ids: all queues, also those that are made later."""
        self._only = set(queue_ids)
        self._server = Server(sorted(names), hints=False)
        self._done_at = dict.fromkeys(ERRANDS, monotonic())

    def run(self, *, burst: bool, report: Callable[[int], None] = lambda _jobs: None) -> int:
        """Work until a shutdown is requested; with `burst`, until nothing more can be had. The jobs that ended."""
        total, pause = 0, FIRST_PAUSE
        while not shutdown.requested():
            try:
                ended = self._round()
                self._errands()
            except store.CONNECTION_ERRORS as error:
                log.warning("the database is away, trying again: %s", error)
                store.reset()
                ended, pause = 0, LONGEST_PAUSE
            total += ended
            report(total)
            if ended:
                pause = FIRST_PAUSE
            elif burst:
                break
            else:
                _rest(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        return total

    def leave(self) -> None:
        """Say that this worker has stopped."""
        self._server.leave()

    def _round(self) -> int:
        """A slice for each queue with due work; hints that others sent do not matter here."""
        ended = 0
        for (queue,) in store.rows("due_queues", lost_after=0.0):
            if shutdown.requested():
                break
            if not self._only or queue in self._only:
                ended += self._server.serve(queue)
        return ended

    def _errands(self) -> None:
        for name, (errand, every) in ERRANDS.items():
            if monotonic() - self._done_at[name] >= every:
                errand()
                self._done_at[name] = monotonic()


def _rest(seconds: float) -> None:
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0 and not shutdown.requested():
        sleep(min(left, LOOK))
