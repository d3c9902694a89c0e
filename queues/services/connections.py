"""How many database connections the workers may come to need, against what the server has."""

from collections.abc import Iterable

from queues import handlers
from queues.models import Queue, Worker


def threads_of(queues: Iterable[Queue]) -> dict[str, int]:
    """By queue: threads of one run that may each open a connection. Plain functions side by side have them."""
    plain = [known for known in handlers.known() if not known.whole and not known.is_async]
    return {
        queue.name: queue.concurrency
        for queue in queues
        if queue.concurrency > 1 and any(known.queue == queue.name or known.name == queue.handler for known in plain)
    }


def wanted_by(workers: Iterable[Worker], threads: dict[str, int], each: int) -> int:
    """Connections that these workers hold when all are at their busiest: `each`, and one for each thread of a run."""
    total = 0
    for worker in workers:
        # A worker that named no queues takes hints for all of them.
        names = worker.queues or threads
        total += each + max((threads.get(name, 0) for name in names), default=0)
    return total
