"""Opening finished batches again, because some of their jobs are to run once more."""

from collections.abc import Collection

from queues.domain.states import BatchState
from queues.models import Batch


def reopen(*, batches: Collection[int]) -> None:
    """Let batches that the caller's transaction holds run again: their frozen counters and stop reason go.

    Running ones are left as they are. Parents are the caller's to name.
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
