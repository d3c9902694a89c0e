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
    from queues.aconsumer import aclaim as aclaim
    from queues.aconsumer import aconsume as aconsume
    from queues.aio import aenqueue as aenqueue
    from queues.aio import aenqueue_batch as aenqueue_batch
    from queues.building import JobBatch as JobBatch
    from queues.calls import task as task
    from queues.collect import Collected as Collected
    from queues.collect import ErrorFacts as ErrorFacts
    from queues.collect import acollect_results as acollect_results
    from queues.collect import collect_results as collect_results
    from queues.collect import results as results
    from queues.consumer import ConsumeError as ConsumeError
    from queues.consumer import Consumer as Consumer
    from queues.consumer import ConsumerStopped as ConsumerStopped
    from queues.consumer import claim as claim
    from queues.consumer import consume as consume
    from queues.domain.outcomes import Cancel as Cancel
    from queues.domain.outcomes import Fail as Fail
    from queues.domain.outcomes import Job as Job
    from queues.domain.outcomes import Reject as Reject
    from queues.domain.outcomes import Snooze as Snooze
    from queues.domain.outcomes import Success as Success
    from queues.domain.payload import JsonText as JsonText
    from queues.domain.states import AfterPolicy as AfterPolicy
    from queues.domain.states import FailureMode as FailureMode
    from queues.domain.states import Priority as Priority
    from queues.handlers import dead_letter_handler as dead_letter_handler
    from queues.handlers import handler as handler
    from queues.handlers import queue as queue
    from queues.handlers import source as source
    from queues.lease import Lease as Lease
    from queues.selectors.archive import archive_statistics as archive_statistics
    from queues.selectors.batch_jobs import batch_errors as batch_errors
    from queues.selectors.batch_jobs import batch_jobs as batch_jobs
    from queues.selectors.batch_lists import find_batches as find_batches
    from queues.selectors.batch_status import BatchStatus as BatchStatus
    from queues.selectors.batch_status import UnknownBatch as UnknownBatch
    from queues.selectors.batch_status import batch_status as batch_status
    from queues.selectors.statistics import performance_report as performance_report
    from queues.selectors.statistics import queue_statistics as queue_statistics
    from queues.services.again import retry_batch as retry_batch
    from queues.services.batch_pause import BatchPauseRefused as BatchPauseRefused
    from queues.services.batch_pause import pause_batch as pause_batch
    from queues.services.batch_pause import resume_batch as resume_batch
    from queues.services.cancel import cancel_batch as cancel_batch
    from queues.services.delete import DeleteRefused as DeleteRefused
    from queues.services.delete import delete_batch as delete_batch
    from queues.services.enqueue import EnqueueError as EnqueueError
    from queues.services.enqueue import EnqueueLimited as EnqueueLimited
    from queues.services.enqueue import JobSpec as JobSpec
    from queues.services.enqueue import add_jobs as add_jobs
    from queues.services.enqueue import enqueue as enqueue
    from queues.services.enqueue import enqueue_batch as enqueue_batch
    from queues.services.enqueue import seal as seal
    from queues.services.link import link as link
    from queues.services.recurring import RecurringRefused as RecurringRefused
    from queues.services.recurring import enable_recurring as enable_recurring
    from queues.services.recurring import recurring as recurring
    from queues.services.recurring import remove_recurring as remove_recurring
    from queues.services.recurring import run_recurring as run_recurring
    from queues.services.settle import LeaseLost as LeaseLost
    from queues.waiting import await_end as await_end
    from queues.waiting import wait as wait

# Found at first use: Django imports this package before its models may be.
_HOMES = {
    "queues.aio": ("aenqueue", "aenqueue_batch"),
    "queues.building": ("JobBatch",),
    "queues.calls": ("task",),
    "queues.collect": ("Collected", "ErrorFacts", "acollect_results", "collect_results", "results"),
    "queues.aconsumer": ("aclaim", "aconsume"),
    "queues.consumer": ("ConsumeError", "Consumer", "ConsumerStopped", "claim", "consume"),
    "queues.domain.outcomes": ("Cancel", "Fail", "Job", "Reject", "Snooze", "Success"),
    "queues.domain.payload": ("JsonText",),
    "queues.domain.states": ("AfterPolicy", "FailureMode", "Priority"),
    "queues.handlers": ("dead_letter_handler", "handler", "queue", "source"),
    "queues.lease": ("Lease",),
    "queues.selectors.archive": ("archive_statistics",),
    "queues.selectors.batch_jobs": ("batch_errors", "batch_jobs"),
    "queues.selectors.batch_status": ("BatchStatus", "UnknownBatch", "batch_status"),
    "queues.selectors.batches": ("find_batches",),
    "queues.selectors.statistics": ("performance_report", "queue_statistics"),
    "queues.services.again": ("retry_batch",),
    "queues.services.batch_pause": ("BatchPauseRefused", "pause_batch", "resume_batch"),
    "queues.services.cancel": ("cancel_batch",),
    "queues.services.delete": ("DeleteRefused", "delete_batch"),
    "queues.services.enqueue": (
        "EnqueueError",
        "EnqueueLimited",
        "JobSpec",
        "add_jobs",
        "enqueue",
        "enqueue_batch",
        "seal",
    ),
    "queues.services.link": ("link",),
    "queues.services.recurring": (
        "RecurringRefused",
        "enable_recurring",
        "recurring",
        "remove_recurring",
        "run_recurring",
    ),
    "queues.services.settle": ("LeaseLost",),
    "queues.waiting": ("await_end", "wait"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'queues' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
