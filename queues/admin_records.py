"""The admin's tables that are only looked at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from queues import models
from queues.admin_base import ReadOnlyAdmin


@admin.register(models.Chunk)
class ChunkAdmin(ReadOnlyAdmin):
    """Where jobs stand."""

    list_display = ("id", "queue_name", "batch_id", "state", "held_why", "size", "succeeded", "cancelled", "run_at")
    hidden = ("ended",)


@admin.register(models.Job)
class JobAdmin(ReadOnlyAdmin):
    """Jobs in the hot tables."""

    list_display = ("id", "batch_id", "chunk_id", "failures", "own_state")
    texts = ("payload",)


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

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Workers have no numbers."""
        return (queryset.filter(name=search_term.strip()) if search_term.strip() else queryset), False


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


@admin.register(models.AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("id", "at", "actor", "source", "action", "target", "reason")


@admin.register(models.Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Bulk commands."""

    list_display = ("id", "action", "actor", "state", "total", "changed", "skipped", "created_at", "finished_at")


@admin.register(models.OperationItem)
class OperationItemAdmin(ReadOnlyAdmin):
    """The jobs of bulk commands."""

    list_display = ("id", "operation_id", "job_id", "outcome")
    search_key = "operation_id"
    search_help_text = "The id of an operation."
