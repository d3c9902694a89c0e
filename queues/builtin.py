"""Handlers that the product brings along; they serve whatever queue a job of theirs is in."""

from queues.domain.outcomes import Job, Reject, Snooze
from queues.handlers import handler
from queues.services import stages, steps
from queues.services.feed import EnqueueLimited

UNREADABLE = "queues.unreadable_message"


@handler(queue="", name=UNREADABLE)
def unreadable_message(job: Job) -> None:
    """A message that cannot be a job becomes a dead letter, so that nothing that was read is lost without a word."""
    raise Reject(job.payload["reason"])


@handler(queue="", name=stages.MAKE_STEP)
def make_step(job: Job) -> None:
    """Makes the batch that follows another one with its results."""
    try:
        steps.make_step(batch=job.payload["batch"])
    except EnqueueLimited as full:
        raise Snooze(full.retry_after) from None
    except steps.StepRefused as error:
        raise Reject(str(error)) from None
