"""Telling the workers that a queue has work. PostgreSQL is the truth, a message only a hint.

A hint says "look at queue X". Losing it costs a second: `drive` sends again what nobody has answered. A worker
that answers a hint and finds more than it can take sends the next one, so one hint at a time wakes all slots.

A batch is *pending hand-over* from its commit (`sealed_at`) to the first message that the broker has taken for its
queue (`queued_at`). What went wrong with a message stays on the queue's row until one is taken. A process that dies
between sending and marking leaves the batch pending: `drive` sends, and marks, once more.
"""

import logging
from functools import partial

from queues import store
from queues.domain.text import clean

log = logging.getLogger(__name__)

# Seconds after which an unanswered hint counts as lost. All slots may be busy with long jobs meanwhile.
LOST_AFTER = 5.0
LONGEST_REASON = 300
# Batches pending hand-over that one ring looks at, the oldest first.
LOOK = 1_000


def announce(*, queue_id: int) -> None:
    """Hint at a queue once the open transaction has been committed. Never raises for a broker out of reach."""
    store.on_commit(partial(send_hint, queue_id=queue_id))


def send_hint(*, queue_id: int) -> bool:
    """Send one hint, unless one is underway; whether the broker has taken it. Takes at most about 200 ms."""
    failures = store.one("hint", queue=queue_id, lost_after=LOST_AFTER)
    if failures is None:
        return False
    from queues.tasks import serve_queue

    try:
        serve_queue.apply_async((queue_id,), retry=False)
    except Exception as error:  # any broker's own error types; the hint is not the truth
        log.warning("no hint could be sent for queue %s: %s", queue_id, error)
        reason = clean(f"{type(error).__name__}: {error}")[:LONGEST_REASON]
        store.run("hint_failed", queue=queue_id, error=reason)
        return False
    if failures:
        store.run("hint_taken", queue=queue_id)
    store.run("mark_queued", queue=queue_id)
    return True


def drive() -> int:
    """Hint at every queue with due work, or with a batch that is pending hand-over; returns how many hints were sent.

    None while one is underway.
    """
    queues = dict.fromkeys(store.rows("due_queues", lost_after=LOST_AFTER) + store.rows("pending_queues", limit=LOOK))
    return sum(send_hint(queue_id=queue) for (queue,) in queues)
