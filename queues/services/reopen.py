"""Opening finished batches again, because some of their jobs are to run once more."""

from collections.abc import Collection

from django.utils import timezone

from queues.domain.states import BatchState
from queues.models import Batch, Operation
from queues.services import audit


def reopen(*, batches: Collection[int], actor: str, source: str, reason: str = "") -> None:
    """Let batches that the caller's transaction holds run again: their frozen counters and stop reason go.

    Running ones are left as they are. Parents are the caller's to name. A batch that runs again leaves the trash, which
    is told in the activity list: who wanted its jobs to run may not have known that it was deleted.
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
    deletions = Operation.objects.filter(
        action="delete_batch", state="running", selection__batch__in=list(batches)
    ).select_for_update(no_key=True)
    for deletion in deletions.order_by("pk"):
        deletion.state, deletion.finished_at = "cancelled", timezone.now()
        deletion.save(update_fields=["state", "finished_at"])
        told = {"why": "jobs of it run again"} | ({"removed": deletion.changed} if deletion.changed else {})
        audit.record(
            actor=actor,
            source=source,
            action="restore batch",
            target=f"batch {deletion.selection['batch']}",
            reason=reason,
            operation=deletion.pk,
            **told,
        )
