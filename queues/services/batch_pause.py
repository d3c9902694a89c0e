"""Pausing and resuming one batch, with its parts. What runs is finished; nothing more of it starts.

Its ready chunks are held, and so is whatever would get ready while the pause lasts: retries, what a lost or stopped
worker gives back, jobs that a person retries or restores, an open batch that is sealed, a stage whose turn has come.
Each of these holds the batch when it decides, as the pause does: so none slips through between the two. The pause is
written to every part, since whoever settles a part holds that and not its parent.
"""

from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from queues import store
from queues.models import Batch
from queues.services import announce, audit


class BatchPauseRefused(ValueError):
    """The batch cannot be paused or resumed: the message says why. Nothing was changed."""


def pause_batch(*, batch_id: int, actor: str, source: str, reason: str = "") -> int:
    """Pause a running batch; returns how many waiting jobs it holds by that. A paused one gets the new reason.

    Raises `BatchPauseRefused`.
    """

    def work() -> int:
        with store.atomic():
            members = _held(batch_id)
            _write(members, paused_at=Now(), paused_by=actor[:150], pause_reason=reason[:300])
            jobs: int = sum(jobs for (jobs,) in store.rows("pause_chunks", batches=members))
            _record("pause batch", batch_id, actor, source, reason, jobs)
            return jobs

    return store.repeated(work)


def resume_batch(*, batch_id: int, actor: str, source: str, reason: str = "") -> int:
    """Let a paused batch go on; returns how many jobs are ready by that. Raises `BatchPauseRefused`."""

    def work() -> int:
        with store.atomic():
            members = _held(batch_id)
            if not Batch.objects.filter(pk=batch_id, paused_at__isnull=False).exists():
                raise BatchPauseRefused(f"batch {batch_id} is not paused")
            _write(members, paused_at=None, paused_by="", pause_reason="")
            released = store.rows("resume_chunks", batches=members)
            jobs: int = sum(jobs for _queue, jobs in released)
            _record("resume batch", batch_id, actor, source, reason, jobs)
            for queue in sorted({queue for queue, _jobs in released}):
                announce.announce(queue_id=queue)
            return jobs

    return store.repeated(work)


def _held(batch_id: int) -> list[int]:
    """Lock the batch and its parts, which never change; all of their ids. Raises `BatchPauseRefused`."""
    family = Batch.objects.filter(Q(pk=batch_id) | Q(parent=batch_id))
    members = list(family.order_by("pk").values_list("pk", flat=True))
    store.rows("lock_batches", batches=members)
    found = Batch.objects.filter(pk=batch_id).first()
    if found is None:
        raise BatchPauseRefused(f"unknown batch {batch_id}")
    if found.parent_id is not None:
        raise BatchPauseRefused(f"batch {batch_id} is a part: pause or resume its parent {found.parent_id}")
    if found.state != "running" or found.stop_reason:
        raise BatchPauseRefused(f"batch {batch_id} is {'stopping' if found.state == 'running' else found.state}")
    return members


def _write(members: list[int], **fields: Any) -> None:
    Batch.objects.filter(pk__in=members).update(**fields)


def _record(action: str, batch_id: int, actor: str, source: str, reason: str, jobs: int) -> None:
    audit.record(actor=actor, source=source, action=action, target=f"batch {batch_id}", reason=reason, jobs=jobs)
