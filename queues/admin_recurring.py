"""The admin of batches that come again by a schedule."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from queues import models, schedules
from queues.admin_base import BoundedAdmin
from queues.admin_confirm import asked
from queues.admin_deeds import OfEach
from queues.services import audit, recurring
from queues.services.feed import EnqueueError

# Whose batches one action makes within its request.
RUN_AT_ONCE = 10


def _of_schedules(**facts: Any) -> OfEach:
    """Something with schedules, which have names."""
    plain: dict[str, Any] = {"thing": "schedule", "argument": "name", "value": "name", "label": "name"}
    return OfEach(**plain, refused=(recurring.RecurringRefused, EnqueueError), **facts)


_ENABLE = _of_schedules(
    verb="Enable",
    past="enabled",
    consequence="They come again, first after now: what would have been due meanwhile is not made up for.",
    call=partial(recurring.enable_recurring, enabled=True),
    command="recurring enable {}",
    why_not=lambda row: "it is enabled already" if row.enabled else "",
)
_DISABLE = _of_schedules(
    verb="Disable",
    past="disabled",
    consequence="They make no batch until they are enabled again.",
    call=partial(recurring.enable_recurring, enabled=False),
    command="recurring disable {}",
    why_not=lambda row: "" if row.enabled else "it is disabled already",
)
_RUN = _of_schedules(
    verb="Run",
    past="run",
    consequence="Each makes its batch now. When it is due next stays as it is.",
    call=recurring.run_recurring,
    command="recurring run {}",
    said=lambda batch: f"batch {batch.pk} with {batch.total:,} jobs",
    once="idempotency_key",
    most=RUN_AT_ONCE,
)


@admin.register(models.Recurring)
class RecurringAdmin(BoundedAdmin):
    """Schedules, to be set and changed. When each is due next is computed."""

    list_display = ("name", "queue_name", "handler", "schedule", "enabled", "next_due_at", "last_due_at", "last_error")
    search_help_text = "An id or an exact name."
    actions = (
        asked("enable", "Enable: first due after now", _ENABLE),
        asked("disable", "Disable", _DISABLE),
        asked("run", "Run now, apart from the schedule", _RUN),
    )
    readonly_fields = ("next_due_at", "last_due_at", "last_error", "created_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Rows with their schedules, which two more queries bring for the whole page."""
        return super().get_queryset(request).prefetch_related("crontab", "interval")

    def search_text(self, queryset: "QuerySet[Any]", term: str) -> "QuerySet[Any]":
        """By name."""
        return queryset.filter(name=term)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing hangs on it: the batches it made only forget it."""
        return bool(request.user.has_perm("queues.delete_recurring"))

    @admin.display(description="schedule")
    def schedule(self, obj: models.Recurring) -> str:
        """The crontab or interval in words."""
        return schedules.in_words(obj)

    def save_model(self, request: HttpRequest, obj: models.Recurring, form: "ModelForm[Any]", change: bool) -> None:
        """Save, let the due time be computed anew where it may have changed, and note who changed what."""
        if not change or {"crontab", "interval", "enabled"} & set(form.changed_data):
            obj.next_due_at = None
        super().save_model(request, obj, form, change)
        audit.record(
            actor=request.user.get_username(),
            source="admin",
            action="change recurring" if change else "add recurring",
            target=f"recurring {obj.name}"[:200],
            changed=form.changed_data,
        )

    def delete_model(self, request: HttpRequest, obj: models.Recurring) -> None:
        """Remove it, and note who did."""
        recurring.remove_recurring(name=obj.name, actor=request.user.get_username(), source="admin")

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[models.Recurring]") -> None:
        """Each by itself, so that each is noted."""
        for row in queryset:
            self.delete_model(request, row)
