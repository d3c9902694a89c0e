"""The admin's tables that are only looked at."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from queues import models
from queues.admin_base import ReadOnlyAdmin
from queues.admin_operations import OperatingAdmin
from queues.services import control


@admin.register(models.Chunk)
class ChunkAdmin(ReadOnlyAdmin):
    """Where jobs stand."""

    list_display = ("id", "queue_name", "batch_id", "state", "held_why", "size", "succeeded", "cancelled", "run_at")
    hidden = ("ended",)


@admin.register(models.Job)
class JobAdmin(OperatingAdmin):
    """Jobs in the hot tables."""

    list_display = ("id", "batch_id", "chunk_id", "failures", "own_state")
    texts = ("payload",)
    actions = ("retry_jobs", "cancel_jobs", "delete_jobs")


@admin.register(models.Run)
class RunAdmin(ReadOnlyAdmin):
    """Leases, and what came of them."""

    list_display = (
        "id",
        "queue_name",
        "handler",
        "state",
        "claimed",
        "succeeded",
        "failed",
        "started_at",
        "finished_at",
    )


@admin.register(models.Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Tries that went wrong."""

    list_display = ("id", "job_id", "number", "kind", "error_class", "fingerprint", "finished_at")
    search_key = "job_id"
    search_help_text = "The id of a job."
    texts = ("message", "traceback")


@admin.register(models.Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Working processes."""

    ordering = ("-heartbeat_at",)
    list_display = ("name", "state", "host", "pid", "processed", "failed", "late", "heartbeat_at")
    search_help_text = "An exact name."
    actions = ("suspend", "resume", "stop", "reclaim")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Workers have no numbers."""
        return (queryset.filter(name=search_term.strip()) if search_term.strip() else queryset), False

    @admin.action(description="Suspend: give back what is held, claim nothing", permissions=["operate"])
    def suspend(self, request: HttpRequest, queryset: "QuerySet[models.Worker]") -> None:
        """Let the chosen workers wait."""
        self._order(request, queryset, control.suspend, "told to wait")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[models.Worker]") -> None:
        """Let the chosen workers go on."""
        self._order(request, queryset, control.resume, "told to go on")

    @admin.action(description="Stop after the job in hand", permissions=["operate"])
    def stop(self, request: HttpRequest, queryset: "QuerySet[models.Worker]") -> None:
        """Let the chosen workers end."""
        self._order(request, queryset, control.stop, "told to stop")

    @admin.action(description="Reclaim: take back what dead ones hold", permissions=["operate"])
    def reclaim(self, request: HttpRequest, queryset: "QuerySet[models.Worker]") -> None:
        """Take back the work of the chosen workers, where they are dead."""
        self._order(request, queryset, control.reclaim, "had their work taken back")

    def _order(
        self, request: HttpRequest, queryset: "QuerySet[models.Worker]", verb: Callable[..., Any], done: str
    ) -> None:
        told = 0
        for worker in queryset.order_by("name", "pk"):
            try:
                verb(worker=worker.pk, actor=request.user.get_username(), source="admin")
                told += 1
            except control.ControlRefused as error:
                self.message_user(request, str(error), messages.WARNING)
        if told:
            self.message_user(request, f"{told} {done}.", messages.SUCCESS)


@admin.register(models.JobResult)
class JobResultAdmin(ReadOnlyAdmin):
    """What handlers returned."""

    list_display = ("job_id", "expires_at")
    texts = ("value",)


@admin.register(models.JobKey)
class JobKeyAdmin(ReadOnlyAdmin):
    """Unique keys of unfinished jobs."""

    list_display = ("key", "queue_name", "job_id")
    search_key = "job_id"
    search_help_text = "The id of a job."


@admin.register(models.QueueSlot)
class QueueSlotAdmin(ReadOnlyAdmin):
    """Places of limited queues."""

    list_display = ("id", "queue_name", "number", "run_id")


@admin.register(models.EnqueueBucket)
class EnqueueBucketAdmin(ReadOnlyAdmin):
    """What may be enqueued into queues with an enqueue rate."""

    list_display = ("queue_name", "tokens", "filled_at")


@admin.register(models.AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("id", "at", "actor", "source", "action", "target", "reason")


@admin.register(models.OperationItem)
class OperationItemAdmin(ReadOnlyAdmin):
    """The jobs of bulk commands."""

    list_display = ("id", "operation_id", "job_id", "outcome")
    search_key = "operation_id"
    search_help_text = "The id of an operation."
