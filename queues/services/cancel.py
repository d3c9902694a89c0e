"""Cancelling a batch: what waits ends now, what runs stops before its next job."""

from queues import store
from queues.domain.states import StopReason
from queues.models import Batch
from queues.services import audit, finish
from queues.services.stop import stop_locked


class CancelRefused(ValueError):
    """The batch cannot be cancelled: the message says why."""


def cancel_batch(*, batch_id: int, actor: str, source: str, reason: str = "") -> int:
    """Cancel a running batch and its parts; returns how many waiting jobs it cancelled at once.

    Jobs that run now are told within 2 s and stop before their next one. Raises `CancelRefused`.
    """

    def work() -> tuple[int, list[int]]:
        with store.atomic():
            return cancel_within(batch_id=batch_id, actor=actor, source=source, reason=reason)

    cancelled, members = store.repeated(work)
    finish.finish(batches=members)
    return cancelled


def cancel_within(*, batch_id: int, actor: str, source: str, reason: str = "") -> tuple[int, list[int]]:
    """The same within the caller's transaction; also the batches that may have ended, for `finish` after its commit."""
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:
        raise CancelRefused(f"unknown batch {batch_id}")
    members = [batch_id, *batch.parts.order_by("pk").values_list("pk", flat=True)]
    store.rows("lock_batches", batches=members)
    now = Batch.objects.get(pk=batch_id)
    if now.state != "running" or now.stop_reason:
        raise CancelRefused(f"batch {batch_id} is {'stopping' if now.state == 'running' else now.state}")
    cancelled = stop_locked(batches=members, reason=StopReason.CANCELLED)
    store.run("seal_stopped", batches=members)
    audit.record(
        actor=actor, source=source, action="cancel batch", target=f"batch {batch_id}", reason=reason, jobs=cancelled
    )
    return cancelled, members
