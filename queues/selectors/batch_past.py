"""What is known of a batch from beside it: the one before it of the same name, and the job that its end has brought."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from queues import store
from queues.domain.rates import success_rate
from queues.domain.states import JobState, Outcome
from queues.models import ArchivedJob, Batch, Chunk, Job
from queues.selectors.batches import BatchRow

# Batches of the same name that are looked at, to find one that has ended.
LOOK = 20
# A callback is enqueued in the transaction of the end, a few statements after it; and what else was enqueued to its
# queue meanwhile.
END_TAKES = timedelta(seconds=30)
CALLBACKS_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Earlier:
    """A batch of the same name that has ended."""

    id: int
    state: str
    jobs: int
    succeeded: int
    dead: int
    cancelled: int
    started_at: datetime
    finished_at: datetime

    @property
    def duration(self) -> timedelta:
        """From its start to its end."""
        return self.finished_at - self.started_at

    @property
    def success_rate(self) -> float | None:
        """Succeeded to all that ended."""
        return success_rate(self.succeeded, self.dead, self.cancelled)

    @property
    def rate(self) -> float | None:
        """Jobs that succeeded or died in a second, on average; None where none did."""
        ran = self.succeeded + self.dead
        return ran / max(1.0, self.duration.total_seconds()) if ran else None


def earlier(row: BatchRow) -> Earlier | None:
    """The last batch of this name before it that has run to an end; None for one without a name, and for a part."""
    if not row.name or row.parent_id is not None:
        return None
    names = ("pk", "state", "total", "succeeded", "dead", "cancelled", "started_at", "finished_at")
    before = Batch.objects.filter(name=row.name, pk__lt=row.id, parent=None).order_by("-pk").values_list(*names)[:LOOK]
    return next((Earlier(*found) for found in before if found[6] and found[7] and found[3] is not None), None)


@dataclass(frozen=True, slots=True)
class Callback:
    """The job that the last end of a batch has enqueued."""

    job_id: int
    state: JobState


def callback(batch_id: int) -> Callback | None:
    """The callback of the last end of a batch; None when there was none, or it cannot be found any more."""
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None or batch.finished_at is None or not batch.callback_handler:
        return None
    # Nothing leads from a batch to its callback; what was enqueued while it ended says itself whose it is.
    near = Chunk.objects.filter(
        queue=batch.callback_queue_id,
        created_at__range=(batch.finished_at, batch.finished_at + END_TAKES),
    ).order_by("created_at", "pk")
    rows: Any = near.values_list("batch_id", "handler", "first_id")[:CALLBACKS_LOOKED_AT]
    born = [first for own, handler, first in rows if own is None and handler == batch.callback_handler and first]
    for job, payload in Job.objects.filter(pk__in=born).order_by("pk").values_list("pk", "payload"):
        if _is_of(payload, batch_id):
            (_job, state), *_ = store.rows("job_state", jobs=[job])
            return Callback(job, JobState(state))
    for job, payload, outcome in ArchivedJob.objects.filter(pk__in=born).values_list("pk", "payload", "outcome"):
        if _is_of(payload, batch_id):
            return Callback(job, JobState.SUCCEEDED if outcome == Outcome.SUCCEEDED else JobState.DEAD)
    return None


def _is_of(payload: str, batch_id: int) -> bool:
    return payload.replace(" ", "").startswith(f'{{"batch":{batch_id},')
