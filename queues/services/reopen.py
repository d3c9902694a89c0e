"""Opening finished batches again, because some of their jobs are to run once more."""

from collections.abc import Collection

from django.utils import timezone

from queues.domain.states import BatchState
from queues.models import Batch, Operation


def reopen(*, batches: Collection[int]) -> None:
    """Let batches that the caller's transaction holds run again: their frozen counters and stop reason go.

    Running ones are left as they are. Parents are the caller's to name. A batch that runs again leaves the trash.
    """
    Batch.objects.filter(pk__in=batches).exclude(state=BatchState.RUNNING).update(
        state=BatchState.RUNNING,
        stop_reason="",
        finished_at=None,
        queued_at=None,
        succeeded=None,
        dead=None,
        cancelled=None,
        error_digest=None,
    )
    Operation.objects.filter(action="delete_batch", state="running", selection__batch__in=list(batches)).update(
        state="cancelled", finished_at=timezone.now()
    )
