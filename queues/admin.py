"""The admin: every table to look at, a queue's policy to change, and the operators' verbs through their services."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from queues import admin_beat, admin_operations, admin_outward, admin_people, admin_records, admin_recurring, models
from queues.admin_base import BoundedAdmin, ReadOnlyAdmin
from queues.admin_confirm import asked
from queues.admin_deeds import OfEach, OfJobs
from queues.admin_graph import BATCH_ACTIONS, BatchGraph
from queues.domain.operating import Action
from queues.selectors.advice import advise, in_words
from queues.selectors.batch_lists import metadata_has
from queues.selectors.batch_status import batch_status
from queues.services import audit
from queues.services.pause import PauseRefused, pause_queue, resume_queue
from queues.services.sync_queues import sync_slots

# Registered by being imported.
__all__ = ["admin_beat", "admin_operations", "admin_outward", "admin_people", "admin_records", "admin_recurring"]

_PAUSE = OfEach(
    verb="Pause",
    past="paused",
    thing="queue",
    consequence="Nothing new of them starts until somebody resumes them. What runs is finished.",
    call=pause_queue,
    argument="name",
    refused=(PauseRefused,),
    value="name",
    label="name",
    command="queues pause {}",
)
_RESUME = OfEach(
    verb="Resume",
    past="resumed",
    thing="queue",
    consequence="What waits in them runs as soon as a worker is free.",
    call=resume_queue,
    argument="name",
    refused=(PauseRefused,),
    value="name",
    label="name",
    command="queues resume {}",
    why_not=lambda queue: "" if queue.paused_at else "it is not paused",
)


@admin.register(models.Queue)
class QueueAdmin(BoundedAdmin):
    """A queue and its policy. A change counts from the next run; the name stays for good."""

    ordering = ("name",)
    list_display = ("name", "handler", "paused", "chunk_size", "run_size", "max_attempts", "max_runs")
    search_help_text = "An id or an exact name."
    actions = (asked("pause", "Pause: start nothing new", _PAUSE), asked("resume", "Resume", _RESUME))
    fieldsets = (
        (None, {"fields": ("name", "handler", "default_priority", "acknowledge")}),
        ("Chunks", {"fields": ("boundaries", "chunk_size", "batch_threshold")}),
        ("Runs", {"fields": ("run_target", "run_start", "run_least", "run_size", "settle_jobs", "advice")}),
        ("Work", {"fields": ("concurrency", "timeout", "max_runs", "dead_letter_handler")}),
        ("Coming in", {"fields": ("payload_rules", "enqueue_rate", "enqueue_burst")}),
        ("Tries", {"fields": ("max_attempts", "backoff", "backoff_base", "backoff_cap", "jitter")}),
        ("Collecting", {"fields": ("flush_jobs", "flush_bytes", "flush_seconds")}),
        ("Rate", {"fields": ("rate_limit", "rate_burst")}),
        ("Keeping, in seconds", {"fields": ("keep_results", "archive_after", "purge_after")}),
        (
            "Keeping what has not succeeded, in seconds",
            {
                "fields": (
                    "archive_cancelled_after",
                    "purge_cancelled_after",
                    "archive_dead_after",
                    "purge_dead_after",
                )
            },
        ),
        ("Pause", {"fields": ("paused_at", "paused_by", "pause_reason", "paused_until")}),
        ("Hand-over to the broker", {"fields": ("hint_failures", "hint_failed_at", "hint_error")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: models.Queue | None = None) -> tuple[str, ...]:
        """The pause, which has actions of its own, and the name of a queue that exists."""
        pause = ("paused_at", "paused_by", "pause_reason", "paused_until")
        written = ("advice", *pause, "hint_failures", "hint_failed_at", "hint_error")
        return ("name", *written) if obj else written

    def search_text(self, queryset: "QuerySet[Any]", term: str) -> "QuerySet[Any]":
        """By name."""
        return queryset.filter(name=term)

    @admin.display(boolean=True)
    def paused(self, obj: models.Queue) -> bool:
        """Whether it was paused; the time until which may be over."""
        return obj.paused_at is not None

    @admin.display(description="recommended sizes")
    def advice(self, obj: models.Queue) -> str:
        """What the last runs speak for, one part for each handler."""
        found = advise(obj) if obj.pk else []
        return "; ".join(map(in_words, found)) or "no finished runs to judge by"

    def save_model(self, request: HttpRequest, obj: models.Queue, form: "ModelForm[Any]", change: bool) -> None:
        """Save, give it as many slots as it may have runs, and note who changed what."""
        super().save_model(request, obj, form, change)
        sync_slots(queue=obj)
        changed = {
            name: [_plain(form.initial.get(name)), _plain(form.cleaned_data[name])] for name in form.changed_data
        }
        audit.record(
            actor=request.user.get_username(),
            source="admin",
            action="change queue" if change else "create queue",
            target=obj.name,
            changed=changed,
        )


@admin.register(models.Batch)
class BatchAdmin(BatchGraph, ReadOnlyAdmin):
    """Batches."""

    list_display = ("id", "name", "queue_name", "state", "total", "succeeded", "dead", "cancelled", "created_at")
    search_help_text = "An id, an exact name, or key=value of the metadata; or <id for those before it."
    actions = BATCH_ACTIONS

    def get_fields(self, request: HttpRequest, obj: models.Batch | None = None) -> list[Any]:
        """Every field, and how it stands."""
        return [*super().get_fields(request, obj), "standing"]

    @admin.display(description="jobs now")
    def standing(self, obj: models.Batch) -> str:
        """The jobs by state, and the success rate."""
        status = batch_status(obj)
        names = ("pending", "running", "completed", "failed", "dead", "cancelled", "deleted")
        counts = ", ".join(f"{getattr(status, name):,} {name}" for name in names)
        rate = (
            "nothing has run to its end" if status.success_rate is None else f"success rate {status.success_rate:.2%}"
        )
        return f"{counts}; {rate}"

    def search_text(self, queryset: "QuerySet[Any]", term: str) -> "QuerySet[Any]":
        """By name, or by metadata."""
        key, equals, value = term.partition("=")
        wanted = Q(name=term)
        if equals and key.strip():
            wanted |= metadata_has(key.strip(), value.strip())
        return queryset.filter(wanted)


@admin.register(models.DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Jobs that wait for a person."""

    list_display = ("job_id", "queue_name", "batch_number", "error_class", "reason", "attempts", "died_at")
    texts = ("message",)
    actions = (
        asked("retry", "Retry, with all attempts", OfJobs(Action.RETRY_DEAD, "dead letter")),
        asked("delete", "Delete: put them in the trash", OfJobs(Action.DELETE_DEAD, "dead letter")),
    )

    @admin.display(description="batch")
    def batch_number(self, obj: models.DeadLetter) -> int | None:
        """The pointer, not the row."""
        return obj.batch_id


@admin.register(models.ArchivedJob)
class ArchivedJobAdmin(ReadOnlyAdmin):
    """Finished jobs, out of the hot tables."""

    list_display = ("id", "queue_name", "batch_id", "handler", "outcome", "finished_at")
    texts = ("payload",)
    actions = (asked("restore", "Restore: let them run again", OfJobs(Action.UNARCHIVE, "archived job")),)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
