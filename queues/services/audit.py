"""Who changed what, why and with what outcome: written in the transaction of the change."""

from typing import Any

from queues.models import AuditEntry


def record(*, actor: str, source: str, action: str, target: str, reason: str = "", **outcome: Any) -> AuditEntry:
    """Write one entry. `outcome` are counts or values that say what came of it."""
    return AuditEntry.objects.create(
        actor=actor[:150], source=source, action=action, target=target[:200], reason=reason[:300], outcome=outcome
    )
