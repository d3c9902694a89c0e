"""How fast jobs may come into a queue: a bucket of tokens that holds a whole batch, or refuses it.

The gate is passed before anything is written, and locks the bucket; what was really enqueued is taken out of it in the
same transaction. So two enqueuers cannot both have the last token, what is rolled back has cost nothing, and a process
that dies in between leaves the bucket as it was. A batch may be larger than what is left: the bucket goes into debt,
and the queue takes nothing more until that is paid. Else no batch larger than the bucket would ever come in.
"""

import math

from queues import store
from queues.domain.records import EnqueueLimit
from queues.services.feed import EnqueueLimited

# Milliseconds to wait for another enqueuer of the same queue to end its transaction.
PATIENCE = 10_000


def pass_gate(*, queue_id: int, queue: str, limit: EnqueueLimit | None) -> None:
    """Hold the queue's bucket until the open transaction ends. Raises `EnqueueLimited` when nothing is in it."""
    if limit is None:
        return
    try:
        with store.lock_timeout(PATIENCE):
            tokens: float = store.one("enqueue_gate", queue=queue_id, rate=limit.rate, burst=limit.size)
    except store.LockTimeout:
        raise EnqueueLimited(
            f"queue {queue!r} takes {limit.rate:g} jobs a second, and another enqueue that is still open goes first; "
            "retry after 1 s",
            1.0,
        ) from None
    # A bucket that never holds a whole token is full, and does.
    missing = min(1.0, limit.size) - tokens
    if missing > 0:
        seconds = max(0.001, math.ceil(missing / limit.rate * 1000) / 1000)
        raise EnqueueLimited(f"queue {queue!r} takes {limit.rate:g} jobs a second; retry after {seconds:g} s", seconds)


def charge(*, queue_id: int, limit: EnqueueLimit | None, jobs: int) -> None:
    """Take what was enqueued out of the bucket."""
    if limit is not None and jobs:
        store.run("enqueue_charge", queue=queue_id, jobs=jobs)
