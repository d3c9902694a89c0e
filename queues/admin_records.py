"""The admin's tables that are only looked at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from queues import models
from queues.admin_base import ReadOnlyAdmin
from queues.admin_confirm import asked
from queues.admin_deeds import OfEach, OfJobs
from queues.domain.operating import Action
from queues.domain.states import WorkerCommand
from queues.services import control


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
    actions = (
        asked("retry_jobs", "Retry: dead, cancelled and waiting for a next try", OfJobs(Action.RETRY)),
        asked("cancel_jobs", "Cancel: what has not been started", OfJobs(Action.CANCEL)),
        asked("delete_jobs", "Delete: put them in the trash", OfJobs(Action.DELETE)),
        asked("change_priority", "Change the priority of what has not been started", OfJobs(Action.PRIORITY)),
        asked("change_queue", "Move to another queue what has not been started", OfJobs(Action.QUEUE)),
    )


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


@admin.register(models.SeenCause)
class SeenCauseAdmin(ReadOnlyAdmin):
    """When causes of death were first seen."""

    list_display = ("id", "fingerprint", "queue_name", "first_at")


def _order(verb: str, past: str, consequence: str, call: Any, command: str, **more: Any) -> OfEach:
    """Something that workers are told, by their ids; a person knows them by their names."""
    return OfEach(
        verb=verb,
        past=past,
        thing="worker",
        consequence=consequence,
        call=call,
        argument="worker",
        refused=(control.ControlRefused,),
        label="name",
        command=f"workers {command} {{}}",
        **more,
    )


_SUSPEND = _order(
    "Suspend",
    "told to wait",
    "They finish the job in hand, give back the rest and claim nothing until they are resumed.",
    control.suspend,
    "suspend",
    why_not=lambda worker: control.flaw(worker, WorkerCommand.SUSPEND),
)
_RESUME = _order(
    "Resume",
    "told to go on",
    "They claim work again, within two seconds.",
    control.resume,
    "resume",
    why_not=lambda worker: control.flaw(worker, WorkerCommand.RESUME),
)
_STOP = _order(
    "Stop",
    "told to stop",
    "They finish the job in hand, give back the rest and end. Whoever keeps them running starts others.",
    control.stop,
    "stop",
    why_not=lambda worker: control.flaw(worker, WorkerCommand.STOP),
    dangerous=True,
)
_RECLAIM = _order(
    "Reclaim the work of",
    "had their work taken back",
    "What they hold is taken back at once, and runs elsewhere.",
    control.reclaim,
    "reclaim",
    why_not=control.life,
    dangerous=True,
)


@admin.register(models.Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Working processes."""

    ordering = ("-heartbeat_at",)
    list_display = ("name", "state", "host", "pid", "processed", "failed", "late", "heartbeat_at")
    search_help_text = "An exact name."
    actions = (
        asked("suspend", "Suspend: give back what is held, claim nothing", _SUSPEND),
        asked("resume", "Resume", _RESUME),
        asked("stop", "Stop after the job in hand", _STOP),
        asked("reclaim", "Reclaim: take back what dead ones hold", _RECLAIM),
    )

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
