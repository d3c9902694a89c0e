"""Deleted batches: those in the trash, which can be brought back, and what is left of those that are gone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from queues.domain.states import BatchState
from queues.models import Operation
from queues.services.delete import ACTION, begins, deletions

# Operations that are looked through for a batch that is gone.
LOOK = 20_000
# Batches that are deleted, or are going to be.
IN_TRASH = Q(pk__in=deletions().values("of")) & ~Q(state=BatchState.RUNNING)


@dataclass(frozen=True, slots=True)
class Deleted:
    """The deletion of a batch. It can be brought back until `begins`; `state` is that of the operation."""

    operation: int
    batch: int
    name: str
    by: str
    reason: str
    at: datetime
    begins: datetime | None
    state: str
    jobs: int
    gone: int

    @property
    def restorable(self) -> bool:
        """Whether nothing of it has been removed yet."""
        return self.state == "running" and self.begins is not None and self.gone == 0


def deleted(batch_id: int) -> Deleted | None:
    """The last deletion of a batch that goes on or was done; None when there was none lately."""
    newest = Operation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = Operation.objects.filter(pk__gt=newest - LOOK, action=ACTION, selection={"batch": batch_id})
    return _deleted(rows.exclude(state="cancelled").order_by("-pk").first())


def in_trash(batch_id: int) -> Deleted | None:
    """The deletion of a batch that is there still."""
    return _deleted(deletions().filter(of=batch_id).first())


def _deleted(found: Any) -> Deleted | None:
    if found is None:
        return None
    return Deleted(
        found.pk,
        found.selection["batch"],
        str(found.options.get("name", "")),
        found.actor,
        found.reason,
        found.created_at,
        begins(found),
        found.state,
        found.total,
        found.changed,
    )
