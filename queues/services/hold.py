"""The commits of a consumer, which settles and gives back as it likes.

Nothing that the database knows is believed from memory: each commit locks the run, asks which jobs it still holds, and
writes under the fence that workers pass. So a commit may be part of the caller's own transaction: rolled back with it,
it was never made, and can be made again.
"""

from queues import store
from queues.domain.records import Claim
from queues.domain.settlement import Ended
from queues.domain.states import RunState
from queues.services import settle as settle_service
from queues.services.settle import LeaseLost


class Commit:
    """One commit of a lease, which can be made again until it is known to have arrived."""

    def __init__(self, claim: Claim, shown: list[int], said: set[int], asked: Ended, rest: bool, delay: float) -> None:
        self.claim, self.shown, self.asked, self.rest, self.delay = claim, shown, asked, rest, delay
        mentioned = {*asked.succeeded, *asked.others}
        # The database is asked about all jobs only when this may be the last commit.
        self._all = rest or len(said | mentioned) >= len(shown)
        self._asks = range(len(shown)) if self._all else sorted(mentioned)
        self._tried: tuple[str, int] | None = None
        self.changed: set[int] = set()
        self.ended = Ended()
        self.stopping: set[int] = set()

    def make(self) -> None:
        """One transaction, repeated on a deadlock. Raises `LeaseLost`, with nothing written."""
        store.repeated(self._make)

    def _make(self) -> None:
        with store.atomic():
            state, step, left = store.row("hold_run", run=self.claim.run_id) or ("", 0, 0.0)
            if (state, step) == self._tried:
                return
            self.changed, self.ended = set(), Ended()
            if state in (RunState.DONE, RunState.RELEASED):
                return
            if state != RunState.RUNNING:
                raise LeaseLost(f"run {self.claim.run_id}")
            ids = self.claim.ids
            held = {job for (job,) in store.rows("open_jobs", run=self.claim.run_id, jobs=[ids[i] for i in self._asks])}
            self.ended = self._still_open(held)
            now = {ids[index] for index in (*self.ended.succeeded, *self.ended.others)}
            final = self._all and (self.rest or held == now)
            self.changed = held if self.rest else now
            if final or now:
                self._write(step, left, final=final)

    def _still_open(self, held: set[int]) -> Ended:
        ids, asked = self.claim.ids, self.asked
        succeeded = [index for index in asked.succeeded if ids[index] in held]
        others = {index: end for index, end in asked.others.items() if ids[index] in held}
        values = {index: text for index, text in asked.values.items() if ids[index] in held}
        return Ended(succeeded, others, values=values)

    def _write(self, step: int, left: float, *, final: bool) -> None:
        run, claim = self.claim.run_id, self.claim
        progress = settle_service.leased_progress(run)
        # As long as the lease still lasts: recording something does not make it longer.
        _, self.stopping = settle_service.settle(
            claim=claim, step=step, progress=progress, ended=self.ended, final=final, lease=left
        )
        if self.rest and self.delay:
            store.run("delay_chunks", chunks=sorted(progress), delay=self.delay)
        if final and len(self.shown) < len(claim.ids):
            store.run("refund_tokens", queue=claim.policy.queue_id, jobs=len(claim.ids) - len(self.shown))
        state = store.row("read_fence", run=run)
        self._tried = (state[0], state[1]) if state else None
