"""Ending a batch, exactly once.

Whoever finds the batch running, and under its lock finds nothing unfinished, has ended it. Lock and question
are two statements: a single guarded UPDATE would recheck only the locked row, not the chunks.
"""

from collections.abc import Iterable

from queues import store
from queues.domain.states import StopReason, end_state
from queues.services import enqueue


def finish(*, batches: Iterable[int]) -> list[int]:
    """End those of the batches, and then of their parents, that have nothing unfinished; returns them.

    Cheap for a batch that is not finished: one look, no lock. A part commits before its parent is looked at.
    """
    ended: list[int] = []
    waiting = sorted(set(batches))
    while waiting:
        batch = waiting.pop(0)
        if store.one("unfinished", batch=batch):
            continue
        done, parent = store.repeated(lambda batch=batch: _finish(batch))  # type: ignore[misc]
        if done:
            ended.append(batch)
            if parent is not None:
                waiting.append(parent)
    return ended


def sweep(*, limit: int = 200) -> list[int]:
    """End all batches whose end was missed, `limit` a page."""
    ended: list[int] = []
    after = 0
    while page := [batch for (batch,) in store.rows("finishable", after=after, limit=limit)]:
        ended += finish(batches=page)
        after = page[-1]
    return ended


def _finish(batch: int) -> tuple[bool, int | None]:
    with store.atomic():
        found = store.row("lock_batch", batch=batch)
        if found is None or store.one("unfinished", batch=batch):
            return False, None
        stop, total, generation, parent = found[1:5]
        succeeded, dead, cancelled = store.row("batch_counts", batch=batch) or (0, 0, 0)
        state = end_state(StopReason(stop), total, succeeded)
        store.run("finish_batch", batch=batch, state=state.value, succeeded=succeeded, dead=dead, cancelled=cancelled)
        handler, queue, each_end, name = found[5:9]
        if handler and (generation == 0 or each_end):
            enqueue.insert_one(
                queue_id=queue,
                handler=handler,
                payload={
                    "batch": batch,
                    "name": name,
                    "state": state.value,
                    "total": total,
                    "succeeded": succeeded,
                    "dead": dead,
                    "cancelled": cancelled,
                },
            )
        return True, parent
