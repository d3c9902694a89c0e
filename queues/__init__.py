"""A batch-first job queue on PostgreSQL.

from queues import Reject, enqueue_batch, handler

@handler(queue="mail")
def send(job):
    ...

batch = enqueue_batch(send, [{"to": address} for address in addresses], name="Newsletter 7")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queues.domain.outcomes import Cancel as Cancel
    from queues.domain.outcomes import Fail as Fail
    from queues.domain.outcomes import Job as Job
    from queues.domain.outcomes import Reject as Reject
    from queues.domain.outcomes import Snooze as Snooze
    from queues.domain.outcomes import Success as Success
    from queues.domain.payload import JsonText as JsonText
    from queues.domain.states import FailureMode as FailureMode
    from queues.domain.states import Priority as Priority
    from queues.handlers import handler as handler
    from queues.handlers import queue as queue
    from queues.services.cancel import cancel_batch as cancel_batch
    from queues.services.enqueue import EnqueueError as EnqueueError
    from queues.services.enqueue import JobSpec as JobSpec
    from queues.services.enqueue import add_jobs as add_jobs
    from queues.services.enqueue import enqueue as enqueue
    from queues.services.enqueue import enqueue_batch as enqueue_batch
    from queues.services.enqueue import seal as seal

# Found at first use: Django imports this package before its models may be.
_HOMES = {
    "queues.domain.outcomes": ("Cancel", "Fail", "Job", "Reject", "Snooze", "Success"),
    "queues.domain.payload": ("JsonText",),
    "queues.domain.states": ("FailureMode", "Priority"),
    "queues.handlers": ("handler", "queue"),
    "queues.services.cancel": ("cancel_batch",),
    "queues.services.enqueue": ("EnqueueError", "JobSpec", "add_jobs", "enqueue", "enqueue_batch", "seal"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'queues' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
