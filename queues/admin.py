"""The admin: every table to look at, a queue's policy to change, and the operators' verbs through their services."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from queues import admin_outward, admin_people, admin_records, admin_recurring, models
from queues.admin_base import BoundedAdmin, ReadOnlyAdmin
from queues.admin_graph import BatchGraph
from queues.admin_operations import OperatingAdmin
from queues.selectors.advice import advise, in_words
from queues.selectors.batch_lists import metadata_has
from queues.selectors.batch_status import batch_status
from queues.services import audit
from queues.services.archive import RestoreRefused, restore
from queues.services.batch_pause import BatchPauseRefused, pause_batch, resume_batch
from queues.services.cancel import CancelRefused, cancel_batch
from queues.services.delete import DeleteRefused, delete_batch
from queues.services.operate import Action
from queues.services.pause import PauseRefused, pause_queue, resume_queue
from queues.services.sync_queues import sync_slots

__all__ = ["admin_outward", "admin_people", "admin_records", "admin_recurring"]  # registered by being imported

# Batches that one action cancels within its request.
MOST_BATCHES = 100


def _chosen(rows: "QuerySet[Any]", most: int) -> list[int]:
    """The keys of chosen rows, in order, one more than are allowed."""
    return list(rows.order_by("pk").values_list("pk", flat=True)[: most + 1])


@admin.register(models.Queue)
class QueueAdmin(BoundedAdmin):
    """A queue and its policy. A change counts from the next run; the name stays for good."""

    ordering = ("name",)
    list_display = ("name", "handler", "paused", "chunk_size", "run_size", "max_attempts", "max_runs")
    search_help_text = "An id or an exact name."
    actions = ("pause", "resume")
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

    @admin.action(description="Pause: start nothing new", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: "QuerySet[models.Queue]") -> None:
        """Pause the chosen queues."""
        _each(self, request, queryset.order_by("pk"), pause_queue, PauseRefused, "name", "paused")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[models.Queue]") -> None:
        """Resume the chosen queues."""
        _each(self, request, queryset.order_by("pk"), resume_queue, PauseRefused, "name", "resumed")


@admin.register(models.Batch)
class BatchAdmin(BatchGraph, ReadOnlyAdmin):
    """Batches."""

    list_display = ("id", "name", "queue_name", "state", "total", "succeeded", "dead", "cancelled", "created_at")
    search_help_text = "An id, an exact name, or key=value of the metadata; or <id for those before it."
    actions = ("retry_dead", "retry_all", "pause", "resume", "cancel", "to_trash", "delete_finished")

    def get_fields(self, request: HttpRequest, obj: models.Batch | None = None) -> list[Any]:
        """Every field, and how it stands."""
        return [*super().get_fields(request, obj), "standing"]

    @admin.display(description="jobs now")
    def standing(self, obj: models.Batch) -> str:
        """The jobs by state, and the success rate."""
        status = batch_status(obj)
        names = ("pending", "running", "completed", "failed", "dead", "cancelled", "deleted")
        counts = ", ".join(f"{getattr(status, name):,} {name}" for name in names)
        rate = "nothing has ended" if status.success_rate is None else f"success rate {status.success_rate:.2%}"
        return f"{counts}; {rate}"

    def search_text(self, queryset: "QuerySet[Any]", term: str) -> "QuerySet[Any]":
        """By name, or by metadata."""
        key, equals, value = term.partition("=")
        wanted = Q(name=term)
        if equals and key.strip():
            wanted |= metadata_has(key.strip(), value.strip())
        return queryset.filter(wanted)

    @admin.action(description="Pause: nothing more of it starts", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: "QuerySet[models.Batch]") -> None:
        """Pause the chosen batches."""
        rows = queryset.order_by("pk")[:MOST_BATCHES]
        _each(self, request, rows, pause_batch, BatchPauseRefused, "batch_id", "paused")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[models.Batch]") -> None:
        """Resume the chosen batches."""
        rows = queryset.order_by("pk")[:MOST_BATCHES]
        _each(self, request, rows, resume_batch, BatchPauseRefused, "batch_id", "resumed")

    @admin.action(description="Cancel: what waits ends now", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: "QuerySet[models.Batch]") -> None:
        """Cancel the chosen batches."""
        chosen = _chosen(queryset, MOST_BATCHES)
        if len(chosen) > MOST_BATCHES:
            self.message_user(request, f"At most {MOST_BATCHES} batches at once.", messages.ERROR)
            return
        rows = models.Batch.objects.filter(pk__in=chosen).order_by("pk")
        _each(self, request, rows, cancel_batch, CancelRefused, "batch_id", "cancelled")

    @admin.action(description="Delete, with all jobs: finished ones only, for good", permissions=["empty"])
    def delete_finished(self, request: HttpRequest, queryset: "QuerySet[models.Batch]") -> None:
        """Delete the chosen batches in the background."""
        chosen = _chosen(queryset, MOST_BATCHES)
        if len(chosen) > MOST_BATCHES:
            self.message_user(request, f"At most {MOST_BATCHES} batches at once.", messages.ERROR)
            return
        rows = models.Batch.objects.filter(pk__in=chosen).order_by("pk")
        _each(self, request, rows, delete_batch, DeleteRefused, "batch_id", "being deleted")


@admin.register(models.DeadLetter)
class DeadLetterAdmin(OperatingAdmin):
    """Jobs that wait for a person."""

    list_display = ("job_id", "queue_name", "batch_number", "error_class", "reason", "attempts", "died_at")
    texts = ("message",)
    actions = ("retry", "delete")

    @admin.display(description="batch")
    def batch_number(self, obj: models.DeadLetter) -> int | None:
        """The pointer, not the row."""
        return obj.batch_id

    @admin.action(description="Retry, with all attempts", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: "QuerySet[models.DeadLetter]") -> None:
        """Try the chosen jobs again."""
        self.operate(request, queryset, Action.RETRY_DEAD)

    @admin.action(description="Delete: put them in the trash", permissions=["operate"])
    def delete(self, request: HttpRequest, queryset: "QuerySet[models.DeadLetter]") -> None:
        """Put the chosen jobs in the trash."""
        self.operate(request, queryset, Action.DELETE_DEAD)


@admin.register(models.ArchivedJob)
class ArchivedJobAdmin(ReadOnlyAdmin):
    """Finished jobs, out of the hot tables."""

    list_display = ("id", "queue_name", "batch_id", "handler", "outcome", "finished_at")
    texts = ("payload",)
    actions = ("restore",)

    @admin.action(description="Restore: let them run again", permissions=["operate"])
    def restore(self, request: HttpRequest, queryset: "QuerySet[models.ArchivedJob]") -> None:
        """Bring the chosen jobs back."""
        try:
            result = restore(job_ids=_chosen(queryset, 1_000), actor=request.user.get_username(), source="admin")
        except RestoreRefused as error:
            self.message_user(request, f"Nothing was restored: {error}", messages.ERROR)
            return
        self.message_user(request, f"{result.jobs:,} jobs run again.", messages.SUCCESS)


def _each(
    page: BoundedAdmin,
    request: HttpRequest,
    rows: "QuerySet[Any]",
    verb: Callable[..., Any],
    refusal: type[Exception],
    argument: str,
    done: str,
) -> None:
    """Call a service for each row, and tell what came of it."""
    changed = 0
    for row in rows:
        try:
            verb(**{argument: _key(row, argument)}, actor=request.user.get_username(), source="admin")
            changed += 1
        except refusal as error:
            page.message_user(request, str(error), messages.WARNING)
    if changed:
        page.message_user(request, f"{changed} {done}.", messages.SUCCESS)


def _key(row: Model, argument: str) -> Any:
    return row.pk if argument == "batch_id" else getattr(row, argument)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
