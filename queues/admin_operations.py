"""The admin's actions on many jobs: each of them begins an operation, as the console and the command do."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from queues import models
from queues.admin_base import COUNTED, ReadOnlyAdmin
from queues.services import operate
from queues.services.operate import Action, OperationRefused

# Operations that one request undoes.
MOST_UNDONE = 20


class OperatingAdmin(ReadOnlyAdmin):
    """A list of jobs that can be acted on; its rows' keys are ids of jobs."""

    def operate(self, request: HttpRequest, queryset: "QuerySet[Any]", action: Action) -> None:
        """Begin to do something with the chosen jobs, and say how far it has come."""
        jobs = list(queryset.order_by("pk").values_list("pk", flat=True)[: COUNTED + 1])
        if len(jobs) > COUNTED:
            text = f"At most {COUNTED:,} at once; the console and `manage.py operate` take any number."
            self.message_user(request, text, messages.ERROR)
            return
        try:
            operation = operate.start(
                action=action.value,
                selection={"job_ids": jobs},
                actor=request.user.get_username(),
                source="admin",
            )
        except OperationRefused as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in operation.outcomes.items())
        text = f"Operation {operation.pk}: {operation.changed:,} of {operation.total:,} done, {operation.state}"
        text += f" ({counts})." if counts else "."
        self.message_user(request, text, messages.SUCCESS if operation.changed else messages.WARNING)

    @admin.action(description="Retry: dead, cancelled and waiting for a next try", permissions=["operate"])
    def retry_jobs(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Let the chosen jobs run again."""
        self.operate(request, queryset, Action.RETRY)

    @admin.action(description="Cancel: what has not been started", permissions=["operate"])
    def cancel_jobs(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Let the chosen jobs never run."""
        self.operate(request, queryset, Action.CANCEL)

    @admin.action(description="Delete: put them in the trash", permissions=["operate"])
    def delete_jobs(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Put the chosen jobs in the trash."""
        self.operate(request, queryset, Action.DELETE)


@admin.register(models.TrashedJob)
class TrashedJobAdmin(OperatingAdmin):
    """Deleted jobs that can be brought back."""

    list_display = ("job_id", "queue_name", "batch_id", "was", "handler", "deleted_by", "deleted_at")
    actions = ("restore", "remove")

    @admin.action(description="Restore: let them be what they were", permissions=["operate"])
    def restore(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Bring the chosen jobs back."""
        self.operate(request, queryset, Action.RESTORE)

    @admin.action(description="Remove for good", permissions=["empty"])
    def remove(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Let the chosen jobs leave the trash for good."""
        self.operate(request, queryset, Action.EMPTY)


@admin.register(models.Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Bulk commands."""

    list_display = ("id", "action", "actor", "state", "total", "changed", "skipped", "created_at", "finished_at")
    actions = ("stop", "undo")

    @admin.action(description="Stop: leave the rest alone", permissions=["operate"])
    def stop(self, request: HttpRequest, queryset: "QuerySet[models.Operation]") -> None:
        """Stop the chosen operations after their present round."""
        who = {"actor": request.user.get_username(), "source": "admin"}
        # A batch that is being deleted cannot be kept: part of it is gone.
        numbers = queryset.exclude(action="delete_batch").order_by("pk").values_list("pk", flat=True)[:COUNTED]
        stopped = sum(operate.cancel_operation(operation_id=number, **who) for number in numbers)
        self.message_user(request, f"{stopped} stopped.", messages.SUCCESS if stopped else messages.WARNING)

    @admin.action(description="Undo: bring back what it has deleted; stops one that runs", permissions=["operate"])
    def undo(self, request: HttpRequest, queryset: "QuerySet[models.Operation]") -> None:
        """Bring back what the chosen operations have deleted."""
        for number in queryset.order_by("pk").values_list("pk", flat=True)[:MOST_UNDONE]:
            try:
                done = operate.undo(operation_id=number, actor=request.user.get_username(), source="admin")
            except OperationRefused as error:
                self.message_user(request, f"Operation {number}: {error}", messages.WARNING)
                continue
            text = f"{done.changed:,} of {done.total:,} restored, {done.state}" if done.pk != number else "stopped"
            self.message_user(request, f"Operation {number}: {text}.", messages.SUCCESS)
