"""What has been accepted and not yet announced to the broker, and why."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from queues.domain.states import BatchState
from queues.models import Batch, Queue

# Batches that are counted; beyond, there are at least so many.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class HandOver:
    """The hand-over of one queue. `since` is when the oldest batch that is pending was accepted.

    `error` is why the last message could not be sent, with its time; both are gone once one was taken.
    """

    pending: int
    since: datetime | None
    error: str
    failed_at: datetime | None
    failures: int

    def age(self, now: datetime) -> float | None:
        """Seconds for which the oldest has been waiting."""
        return None if self.since is None else max(0.0, (now - self.since).total_seconds())


def hand_overs() -> dict[int, HandOver]:
    """Every queue's, by its id. Two queries, over the oldest pending batches."""
    oldest = Batch.objects.filter(queued_at=None, state=BatchState.RUNNING, sealed_at__isnull=False)
    ids = oldest.order_by("created_at").values("pk")[:COUNTED]
    rows = Batch.objects.filter(pk__in=ids).values_list("queue_id").annotate(Count("pk"), since=Min("sealed_at"))
    pending = {queue: (count, since) for queue, count, since in rows}
    found = Queue.objects.filter(Q(pk__in=pending) | Q(hint_failures__gt=0))
    rows_of = {row.pk: row for row in found}
    hand_overs = {}
    for queue in pending.keys() | rows_of.keys():
        count, since = pending.get(queue, (0, None))
        row = rows_of.get(queue)
        failed = row is not None and row.hint_failures > 0
        hand_overs[queue] = HandOver(
            pending=count,
            since=since,
            error=row.hint_error if row and failed else "",
            failed_at=row.hint_failed_at if row and failed else None,
            failures=row.hint_failures if row else 0,
        )
    return hand_overs


NONE = HandOver(0, None, "", None, 0)
