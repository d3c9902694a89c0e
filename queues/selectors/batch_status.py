"""How a batch stands, as one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, Sum

from queues.domain.states import UNFINISHED, BatchState
from queues.models import Batch, Chunk, batch_id
from queues.selectors import batches
from queues.selectors.clock import database_now
from queues.selectors.expressions import UNENDED


class UnknownBatch(LookupError):
    """There is no batch of this number."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch and its jobs, exactly. `pending`, `running`, `completed`, `dead`, `cancelled` and `deleted` are
    `total`.

    `pending` waits, is scheduled, or is held; `failed` are those of the pending and running jobs that are tried again,
    `completed` have succeeded. `success_rate` is `completed` to all that ended (completed, dead, cancelled), None
    before any has completed or died. `rate` is jobs that completed or died, a second since the start, to the end or to
    now; None where there are none.
    """

    id: int
    name: str
    queue: str
    handler: str
    state: BatchState
    stop_reason: str
    failure_mode: str
    total: int
    pending: int
    running: int
    completed: int
    failed: int
    dead: int
    cancelled: int
    deleted: int
    success_rate: float | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    rate: float | None
    error_digest: dict[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether the batch has come to its end."""
        return self.state is not BatchState.RUNNING


def batch_status(batch: Batch | int) -> BatchStatus:
    """How a batch stands now, summed over its chunks, those of its parts included. Raises `UnknownBatch`."""
    return batch_statuses([batch_id(batch)])[0]


def batch_statuses(ids: Sequence[int]) -> list[BatchStatus]:
    """Several at once, in a fixed number of queries. Raises `UnknownBatch`."""
    rows = batches.batch_rows(ids)
    if missing := [number for number in ids if number not in rows]:
        raise UnknownBatch(f"unknown batch {missing[0]}")
    counts = batches.batch_counts(ids)
    retried = _retried(ids)
    digests = dict(Batch.objects.filter(pk__in=ids).values_list("pk", "error_digest"))
    now = database_now()
    return [_status(rows[number], counts[number], retried.get(number, 0), digests.get(number), now) for number in ids]


def _status(
    row: batches.BatchRow, counts: batches.BatchCounts, retried: int, digest: dict[str, Any] | None, now: datetime
) -> BatchStatus:
    seconds = ((row.finished_at or now) - row.started_at).total_seconds() if row.started_at else None
    return BatchStatus(
        id=row.id,
        name=row.name,
        queue=row.queue,
        handler=row.handler,
        state=row.state,
        stop_reason=row.stop_reason,
        failure_mode=row.failure_mode,
        total=counts.total,
        pending=counts.waiting,
        running=counts.running,
        completed=counts.succeeded,
        failed=retried,
        dead=counts.dead,
        cancelled=counts.cancelled,
        deleted=counts.trashed,
        success_rate=counts.success_rate,
        created_at=row.created_at,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        seconds=seconds,
        rate=counts.ran / seconds if seconds and counts.ran else None,
        error_digest=digest,
    )


def _retried(ids: Sequence[int]) -> dict[int, int]:
    """Unended jobs in chunks of jobs that are tried again, by batch; a parent has those of its parts."""
    members = dict(Batch.objects.filter(Q(pk__in=ids) | Q(parent__in=ids)).values_list("pk", "parent_id"))
    chunks = Chunk.objects.filter(batch__in=list(members), state__in=UNFINISHED, is_retry=True)
    found: dict[int, int] = {}
    for batch, jobs in chunks.values_list("batch_id").annotate(jobs=Sum(UNENDED)):
        for number in (batch, members[batch]):
            if number is not None:
                found[number] = found.get(number, 0) + jobs
    return found
