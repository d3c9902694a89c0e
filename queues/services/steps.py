"""The next step of a pipeline: a batch with one job for each kept result of another one.

Made by a job of its own, which the end of the first batch writes in its transaction: whatever dies on the way, that job
is run again, and the idempotency key of what it makes lets it be made once.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from django.conf import settings

from queues import calls, store
from queues.collect import result_texts
from queues.domain.payload import JsonText
from queues.domain.stages import fits
from queues.domain.states import AfterPolicy
from queues.models import Batch, Chunk
from queues.selectors.clock import database_now
from queues.services import audit, stages
from queues.services.enqueue import enqueue_batch


class StepRefused(ValueError):
    """The step cannot be made: the message says why. Nothing was written."""


def make_step(*, batch: int) -> int | None:
    """Make the next step of a batch that has ended; returns the batch that it is.

    None, and nothing is made, when the batch runs again (its next end comes here too) or has no results.
    Raises `StepRefused` when it is gone or its results are kept no longer, `EnqueueError` when the queue takes no more.
    """
    key = stages.step_key(batch)
    with store.atomic():
        # Shared, so that it is not reopened meanwhile; and before the question whether the step is there.
        store.rows("lock_batches_share", batches=[batch])
        made = Batch.objects.filter(idempotency_key=key).values_list("pk", flat=True).first()
        source = Batch.objects.select_related("queue", "then_queue").filter(pk=batch).first()
        if made is not None:
            return made
        if source is None:
            raise StepRefused(f"batch {batch} is not there any more: nothing can be made of its results")
        if not fits(source.after_policy, source.state):
            return None
        _check_kept(source)
        items = _items(source)
        first = next(items, None)
        if first is None or source.then_queue is None:
            return None
        step = enqueue_batch(
            source.then_handler,
            chain([first], items),
            queue=source.then_queue.name,
            name=source.name,
            metadata={**source.metadata, "step_after": batch},
            failure_mode=source.failure_mode,
            idempotency_key=key,
            after=[batch],
            after_policy=AfterPolicy.ENDED,
            split=source.total > settings.BATCH_MAX_JOBS,
            created_by=source.created_by,
            source=audit.SYSTEM,
        )
        return int(step.pk)


def _items(source: Batch) -> Iterator[JsonText]:
    """The payloads: each result as it was kept, or as the one argument of a function declared with `@task`."""
    called = calls.is_task(source.then_handler)
    for _job, text in result_texts(source):
        yield JsonText(calls.payload_text(text) if called else text)


def _check_kept(source: Batch) -> None:
    """Refuse to go on with some of the results only."""
    kept = source.queue.keep_results
    members = [source.pk, *source.parts.values_list("pk", flat=True)]
    if kept is not None:
        before = database_now() - timedelta(seconds=kept)
        if not Chunk.objects.filter(batch__in=members, succeeded__gt=0, finished_at__lt=before).exists():
            return
    raise StepRefused(
        f"results of batch {source.pk} are kept no longer: raise keep_results of queue {source.queue.name!r}, "
        "retry the whole batch"
    )
