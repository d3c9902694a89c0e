"""Pausing and resuming a queue. What runs goes on; nothing new is claimed."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from queues.models import Queue
from queues.services import announce, audit, events


class PauseRefused(ValueError):
    """The queue cannot be paused or resumed: the message says why."""


def pause_queue(*, name: str, actor: str, source: str, reason: str = "", until: datetime | None = None) -> Queue:
    """Pause a queue, until a time or for good. Pausing a paused queue replaces reason and time."""
    if until is not None and (until.tzinfo is None or until <= timezone.now()):
        raise PauseRefused("until: an aware time in the future is needed")
    with transaction.atomic():
        queue = _locked(name)
        queue.paused_at, queue.paused_by = timezone.now(), actor[:150]
        queue.pause_reason, queue.paused_until = reason[:300], until
        queue.save(update_fields=["paused_at", "paused_by", "pause_reason", "paused_until"])
        audit.record(
            actor=actor,
            source=source,
            action="pause queue",
            target=name,
            reason=reason,
            until=until.isoformat() if until else None,
        )
        facts = {"queue": name, "by": queue.paused_by, "reason": queue.pause_reason}
        end = until.isoformat() if until else None
        events.queue_changed(event="queue.paused", queue_id=queue.pk, facts={**facts, "until": end})
    return queue


def resume_queue(*, name: str, actor: str, source: str, reason: str = "") -> Queue:
    """Let a paused queue go on."""
    with transaction.atomic():
        queue = _locked(name)
        if queue.paused_at is None:
            raise PauseRefused(f"queue {name!r} is not paused")
        queue.paused_at, queue.paused_by, queue.pause_reason, queue.paused_until = None, "", "", None
        queue.save(update_fields=["paused_at", "paused_by", "pause_reason", "paused_until"])
        audit.record(actor=actor, source=source, action="resume queue", target=name, reason=reason)
        facts = {"queue": name, "by": actor[:150], "reason": reason[:300]}
        events.queue_changed(event="queue.resumed", queue_id=queue.pk, facts=facts)
        announce.announce(queue_id=queue.pk)
    return queue


def _locked(name: str) -> Queue:
    queue = Queue.objects.select_for_update(no_key=True).filter(name=name).first()
    if queue is None:
        raise PauseRefused(f"unknown queue {name!r}")
    return queue
