"""A whole batch once more: what died goes back into it, or all of it becomes a new batch."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.conf import settings

from queues import store
from queues.domain.payload import JsonText
from queues.models import Batch, Operation, batch_id
from queues.selectors.id_pages import id_pages
from queues.services import audit, operate
from queues.services.enqueue import enqueue_batch
from queues.services.feed import JobSpec

WHICH = ("dead", "all")


class RetryRefused(ValueError):
    """The batch cannot be retried: the message says why. Nothing was changed."""


def retry_batch(
    batch: Batch | int,
    which: str = "dead",
    *,
    actor: str = "",
    source: str = "api",
    reason: str = "",
    idempotency_key: str | None = None,
) -> Operation | Batch:
    """Retry what died of a batch and its parts, or with `which="all"` enqueue all its jobs anew.

    The dead go back with all their attempts: the batch runs again, and what comes back is the operation. For "all" it
    is the new batch, with the same jobs, handler and policy, also of jobs that are archived by now; its metadata name
    the first one as `retry_of`. It starts at once, whatever the first one waited for, and takes no unique keys. The
    same `idempotency_key` with the same jobs returns the batch that was made the first time. Raises `RetryRefused`,
    `OperationRefused` or `EnqueueError`, with nothing changed.
    """
    if which not in WHICH:
        raise RetryRefused(f"which: {which!r} is not one of {', '.join(WHICH)}")
    number = batch_id(batch)
    found = Batch.objects.select_related("queue").filter(pk=number).first()
    if found is None:
        raise RetryRefused(f"unknown batch {number}")
    if idempotency_key is not None and which == "dead":
        raise RetryRefused("idempotency_key: only a new batch has one")
    if which == "dead":
        return operate.start(
            action="retry_dead", selection={"batch": number}, actor=actor, source=source, reason=reason
        )
    if found.sealed_at is None:
        raise RetryRefused(f"batch {number} is still open")
    return _anew(found, idempotency_key, actor=actor, source=source, reason=reason)


def _anew(first: Batch, key: str | None, *, actor: str, source: str, reason: str) -> Batch:
    jobs = _Jobs(first.pk)
    with store.atomic():
        head = next(jobs.items, None)
        if head is None:
            raise RetryRefused(f"no job of batch {first.pk} is kept any more")
        priority, payload = head
        specs = (JobSpec(text, priority=level) if level != priority else text for level, text in jobs.items)
        made = enqueue_batch(
            first.handler,
            chain([payload], specs),
            queue=first.queue.name,
            name=first.name,
            metadata={**first.metadata, "retry_of": first.pk},
            priority=priority,
            failure_mode=first.failure_mode,
            chunk_size=min(first.chunk_size, settings.BATCH_MAX_JOBS),
            callback=first.callback_handler or None,
            callback_each_end=first.callback_each_end,
            after_policy=first.after_policy,
            then=first.then_handler or None,
            split=first.is_parent or first.total > settings.BATCH_MAX_JOBS,
            created_by=actor[:150],
            idempotency_key=key,
            source="",  # told below, as what it is
        )
        if made.total + jobs.deleted != first.total:
            gone = first.total - jobs.deleted - made.total
            raise RetryRefused(f"{gone:,} of {first.total:,} jobs of batch {first.pk} are kept no longer")
        told = {"action": "retry whole batch", "target": f"batch {first.pk}"}
        if key is None or not audit.was_told(since=made.created_at, **told, batch=made.pk):
            audit.record(actor=actor, source=source, reason=reason, **told, batch=made.pk, jobs=made.total)
    return made


class _Jobs:
    """The jobs of a batch in their order, as they are read; `deleted` counts those that a person has deleted."""

    def __init__(self, batch: int) -> None:
        self.deleted = 0
        self.items = self._read(batch)

    def _read(self, batch: int) -> Iterator[tuple[Any, JsonText]]:
        for lows, highs in id_pages(batch):
            for _job, payload, priority, deleted in store.rows("payload_page", lows=lows, highs=highs):
                if deleted:
                    self.deleted += 1
                else:
                    yield priority, JsonText(payload)
