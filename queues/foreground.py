"""A worker without Celery: one loop in the foreground that serves what is due, and does the control tasks too."""

import logging
from collections.abc import Callable, Collection
from time import monotonic, sleep

from queues import shutdown, store
from queues.domain.idle import Pauses
from queues.serve import Server
from queues.services import announce, finish, operate, reap, recur, upkeep

log = logging.getLogger(__name__)

# Seconds of rest when nothing is due: doubled from the first to the longest, begun anew by work.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
# A signal is noticed within this time, however long the pause.
LOOK = 0.05

# Nobody else may be there to ring: seconds between two turns of each control task. One that answers True has more
# to do: it comes again after the next round of work.
ERRANDS: dict[str, tuple[Callable[[], object], float]] = {
    "reap": (reap.reap, 2.0),
    "finish": (finish.sweep, 5.0),
    "operate": (operate.advance_all, 2.0),
    "drive": (announce.drive, 5.0),
    "recur": (recur.recur, 2.0),
    "archive": (upkeep.archive, 60.0),
    "purge": (upkeep.purge, 3_600.0),
}
# A worker that is started anew every hour is to purge too.
FIRST_TURN = 60.0


class Foreground:
    """Serves some queues, or all, until it is asked to stop."""

    def __init__(self, names: Collection[str] = (), queue_ids: Collection[int] = ()) -> None:
        """Register as a worker. No ids: all queues, also those that are made later."""
        self._only = set(queue_ids)
        self._server = Server(sorted(names), hints=False)
        self._due_at = {name: monotonic() + min(every, FIRST_TURN) for name, (_, every) in ERRANDS.items()}

    def run(self, *, burst: bool, report: Callable[[int], None] = lambda _jobs: None) -> int:
        """Work until a shutdown is requested; with `burst`, until nothing more can be had. The jobs that ended."""
        total, pauses = 0, Pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while not shutdown.requested():
            try:
                ended = self._round()
                self._errands()
            except store.CONNECTION_ERRORS as error:
                log.warning("the database is away, trying again: %s", error)
                store.reset()
                ended = 0
                pauses.at_most()
            total += ended
            report(total)
            if ended:
                pauses.reset()
            elif burst and not self._server.keeper.suspended:
                break
            else:
                _rest(pauses.next())
        return total

    def leave(self) -> None:
        """Say that this worker has stopped."""
        self._server.leave()

    def _round(self) -> int:
        """A slice for each queue with due work; hints that others sent do not matter here."""
        ended = 0
        for (queue,) in store.rows("due_queues", lost_after=0.0):
            if self._server.halted():
                break
            if not self._only or queue in self._only:
                ended += self._server.serve(queue)
        return ended

    def _errands(self) -> None:
        for name, (errand, every) in ERRANDS.items():
            if monotonic() >= self._due_at[name]:
                more = errand() is True
                self._due_at[name] = monotonic() + (0.0 if more else every)


def _rest(seconds: float) -> None:
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0 and not shutdown.requested():
        sleep(min(left, LOOK))
