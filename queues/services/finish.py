"""Ending a batch, exactly once.

Whoever finds the batch running, and under its lock finds nothing unfinished, has ended it. Lock and question
are two statements: a single guarded UPDATE would recheck only the locked row, not the chunks. The same transaction
starts, or stops, the batches that waited for this end.
"""

from collections.abc import Iterable

from queues import store
from queues.domain.stages import fits
from queues.domain.states import BatchState, StopReason, end_state
from queues.services import digest, enqueue, events, stages


def finish(*, batches: Iterable[int]) -> list[int]:
    """End those of the batches, of their parents and of those that they stop, that have nothing unfinished.

    Returns them. Cheap for a batch that is not finished: one look, no lock. A part commits before its parent is
    looked at.
    """
    ended: list[int] = []
    waiting = sorted(set(batches))
    while waiting:
        batch = waiting.pop(0)
        if store.one("unfinished", batch=batch):
            continue
        more = _with_followers(batch)
        if more is not None:
            ended.append(batch)
            waiting += more
    return ended


def sweep(*, limit: int = 200) -> list[int]:
    """End all batches whose end was missed, `limit` a page."""
    ended = finish(batches=stages.sweep(limit=limit))
    after = 0
    while page := [batch for (batch,) in store.rows("finishable", after=after, limit=limit)]:
        ended += finish(batches=page)
        after = page[-1]
    return ended


def _with_followers(batch: int) -> list[int] | None:
    """End one batch. The batches to look at next, or None when it has not ended here."""
    held: set[int] = set()

    def work() -> list[int] | None:
        return _finish(batch, held)

    while True:
        try:
            return store.repeated(work)
        except stages.HoldFirst as first:
            held |= first.batches


def _finish(batch: int, held: set[int]) -> list[int] | None:
    with store.atomic():
        if held:
            store.rows("lock_batches", batches=sorted({batch, *held}))
        found = store.row("lock_batch", batch=batch)
        if found is None or store.one("unfinished", batch=batch):
            return None
        stop, total, _generation, parent = found[1:5]
        if not total and not stop and stages.waits(batch=batch):
            return None
        followers = stages.hold_followers(batch=batch, held=held)
        succeeded, dead, cancelled = store.row("batch_counts", batch=batch) or (0, 0, 0)
        state = end_state(StopReason(stop), total, succeeded)
        store.run("finish_batch", batch=batch, state=state.value, succeeded=succeeded, dead=dead, cancelled=cancelled)
        digest.write_digest(batch=batch)
        events.batch_finished(batch_id=batch)
        _enqueue_what_follows(found, state, succeeded, dead, cancelled)
        stopped = stages.judge(batches=followers)
        return [*([] if parent is None else [parent]), *stopped]


def _enqueue_what_follows(found: store.Row, state: BatchState, succeeded: int, dead: int, cancelled: int) -> None:
    """The jobs that an end brings with it: the callback, and the one that makes the next step."""
    batch, _stop, total, generation, _parent, handler, queue, each_end, name, policy, then_handler, then_queue = found
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
    if then_handler and fits(policy, state):
        enqueue.insert_one(queue_id=then_queue, handler=stages.MAKE_STEP, payload={"batch": batch})
