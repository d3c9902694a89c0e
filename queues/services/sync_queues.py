"""Making rows of the queues that the code declares."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from queues import handlers
from queues.models import Queue, QueueSlot
from queues.services import audit


def sync_queues(*, actor: str = "", source: str = "api") -> list[str]:
    """Create the declared queues that have no row; returns their names. Rows that exist keep their policy.

    Where somebody is named, `actor`, each new one is an entry in the activity list.

    Raises `DeclarationError` for a declared value that a queue cannot have.
    """
    made = []
    with transaction.atomic():
        for declared in handlers.declared_queues():
            if sync_queue(declared=declared):
                made.append(declared.name)
                if actor:
                    audit.record(actor=actor, source=source, action="create queue", target=declared.name)
        for queue in Queue.objects.filter(max_runs__isnull=False):
            sync_slots(queue=queue)
    return made


def sync_queue(*, declared: handlers.DeclaredQueue) -> bool:
    """Create the row of one declared queue if there is none. Raises `DeclarationError`."""
    policy = {**settings.QUEUE_DEFAULTS, **declared.policy}
    try:
        Queue(name=declared.name, **policy).full_clean(validate_unique=False)
    except (TypeError, ValidationError) as error:
        raise handlers.DeclarationError(f"queue {declared.name!r}: {error}") from None
    queue, created = Queue.objects.get_or_create(name=declared.name, defaults=policy)
    if created and queue.max_runs is not None:
        sync_slots(queue=queue)
    return created


def sync_slots(*, queue: Queue) -> None:
    """Give a limited queue as many slots as it may have runs; surplus ones go when they are free."""
    limit = queue.max_runs or 0
    have = set(queue.queueslot_set.values_list("number", flat=True))
    QueueSlot.objects.bulk_create(
        [QueueSlot(queue=queue, number=n) for n in range(1, limit + 1) if n not in have],
        ignore_conflicts=True,
    )
    queue.queueslot_set.filter(number__gt=limit, run_id__isnull=True).delete()
