"""Telling the workers that a queue has work. PostgreSQL is the truth, a message only a hint.

A hint says "look at queue X". Losing it costs a second: `drive` sends again what nobody has answered. A worker
that answers a hint and finds more than it can take sends the next one, so one hint at a time wakes all slots.
"""

import logging
from functools import partial

from queues import store

log = logging.getLogger(__name__)

# Seconds after which an unanswered hint counts as lost. All slots may be busy with long jobs meanwhile.
LOST_AFTER = 5.0


def announce(*, queue_id: int) -> None:
    """Hint at a queue once the open transaction has been committed. Never raises for a broker out of reach."""
    store.on_commit(partial(send_hint, queue_id=queue_id))


def send_hint(*, queue_id: int) -> bool:
    """Send one hint, unless one is underway; whether the broker has taken it. Takes at most about 200 ms."""
    if not store.run("hint", queue=queue_id, lost_after=LOST_AFTER):
        return False
    from queues.tasks import serve_queue

    try:
        serve_queue.apply_async((queue_id,), retry=False)
    except Exception as error:  # any broker's own error types; the hint is not the truth
        log.warning("no hint could be sent for queue %s: %s", queue_id, error)
        store.run("answer_hint", queue=queue_id)
        return False
    store.run("mark_queued", queue=queue_id)
    return True


def drive() -> int:
    """Hint at every queue that has due work and no hint underway; returns how many hints were sent."""
    return sum(send_hint(queue_id=queue) for (queue,) in store.rows("due_queues", lost_after=LOST_AFTER))
