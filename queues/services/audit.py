"""Who changed what, why and with what outcome: written in the transaction of the change."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from queues import store
from queues.models import AuditEntry
from queues.selectors.clock import database_now

BEAT = "beat"
CODE, SYSTEM = "api", "system"
# What the system does again and again is one entry an hour.
ADDED_UP = timedelta(hours=1)
_bulk: ContextVar[int | None] = ContextVar("bulk", default=None)


def record(*, actor: str, source: str, action: str, target: str, reason: str = "", **outcome: Any) -> AuditEntry:
    """Write one entry. `outcome` are counts or values that say what came of it."""
    if (bulk := _bulk.get()) is not None:
        outcome = {"operation": bulk, **outcome, "bulk": bulk}
    return AuditEntry.objects.create(
        actor=actor[:150], source=source, action=action, target=target[:200], reason=reason[:300], outcome=outcome
    )


def of_batch(*, action: str, actor: str, source: str, reason: str = "", **outcome: Any) -> dict[str, str]:
    """An entry about a batch as `complete_batch` writes it, in the statement that completes the batch.

    Code need not say who it is, and the system has no name. Without a `source` there is no entry: somebody else tells.
    """
    by = actor or ("code" if source == CODE else source)
    told = {"actor": by[:150], "source": source, "action": action, "reason": reason[:300]}
    return {**told, "outcome": json.dumps(outcome)}


@contextmanager
def part_of(operation: int) -> Iterator[None]:
    """Entries that are written here carry the number of the operation that they are part of, as `bulk`."""
    token = _bulk.set(operation)
    try:
        yield
    finally:
        _bulk.reset(token)


def was_told(*, action: str, target: str, since: datetime, **outcome: Any) -> bool:
    """Whether there is an entry of this since then, with this among its outcome."""
    return AuditEntry.deeds().filter(at__gte=since, action=action, target=target, outcome__contains=outcome).exists()


def add_up(*, action: str, target: str, counts: Mapping[str, int]) -> None:
    """Note what the system itself has done: added to its entry of this hour, or as a new one. Nothing for nothing."""
    told: dict[str, Any] = {name: count for name, count in counts.items() if count}
    if not told:
        return
    now = database_now()
    recent = AuditEntry.deeds().filter(at__gte=now - ADDED_UP, source=BEAT, action=action, target=target)
    with store.atomic():
        entry = recent.select_for_update(no_key=True).order_by("-at", "-pk").first()
        if entry is None:
            record(actor="system", source=BEAT, action=action, target=target, **told, until=now.isoformat())
            return
        entry.outcome |= {name: entry.outcome.get(name, 0) + count for name, count in told.items()}
        entry.outcome["until"] = now.isoformat()
        entry.save(update_fields=["outcome"])
