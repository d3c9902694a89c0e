"""The admin of operations, and of the jobs in the trash."""

from django.contrib import admin

from queues import models
from queues.admin_base import ReadOnlyAdmin
from queues.admin_confirm import asked
from queues.admin_deeds import OfEach, OfJobs
from queues.services import operate
from queues.services.delete import ACTION as DELETE_BATCH
from queues.services.operate import Action, OperationRefused

# Operations that one request undoes.
MOST_UNDONE = 20


@admin.register(models.TrashedJob)
class TrashedJobAdmin(ReadOnlyAdmin):
    """Deleted jobs that can be brought back."""

    list_display = ("job_id", "queue_name", "batch_id", "was", "handler", "deleted_by", "deleted_at")
    actions = (
        asked("restore", "Restore: let them be what they were", OfJobs(Action.RESTORE, "deleted job")),
        asked("remove", "Remove for good", OfJobs(Action.EMPTY, "deleted job"), right="empty"),
    )


def _not_stopped(operation: models.Operation) -> str:
    if operation.action == DELETE_BATCH:
        return "a batch that is being deleted cannot be kept: part of it is gone"
    return "" if operation.state == "running" else "it has ended"


def _not_undone(operation: models.Operation) -> str:
    return "" if operation.action in operate.UNDOABLE else "only a deletion can be undone"


def _undone(done: models.Operation) -> str:
    if done.action in operate.UNDOABLE:
        return "stopped"
    return f"{done.changed:,} of {done.total:,} restored, {done.state}"


_STOP = OfEach(
    verb="Stop",
    past="stopped",
    thing="operation",
    consequence="The rest is left alone, after the present round. What is done stays done.",
    call=operate.cancel_operation,
    argument="operation_id",
    why_not=_not_stopped,
)
_UNDO = OfEach(
    verb="Undo",
    past="undone",
    thing="operation",
    consequence="What they have deleted is brought back, as far as it is still in the trash. One that runs is stopped.",
    call=operate.undo,
    argument="operation_id",
    refused=(OperationRefused,),
    command="operate undo --operation {}",
    why_not=_not_undone,
    said=_undone,
    most=MOST_UNDONE,
)


@admin.register(models.Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Bulk commands."""

    list_display = ("id", "action", "actor", "state", "total", "changed", "skipped", "created_at", "finished_at")
    actions = (
        asked("stop", "Stop: leave the rest alone", _STOP),
        asked("undo", "Undo: bring back what it has deleted; stops one that runs", _UNDO),
    )
