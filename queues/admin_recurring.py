"""The admin of batches that come again by a schedule."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from queues import models, schedules
from queues.admin_base import BoundedAdmin
from queues.services import audit, recurring
from queues.services.feed import EnqueueError

# Whose batches one action makes within its request.
RUN_AT_ONCE = 10


@admin.register(models.Recurring)
class RecurringAdmin(BoundedAdmin):
    """Schedules, to be set and changed. When each is due next is computed."""

    list_display = ("name", "queue_name", "handler", "schedule", "enabled", "next_due_at", "last_due_at", "last_error")
    search_help_text = "An id or an exact name."
    actions = ("enable", "disable", "run")
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

    @admin.action(description="Enable: first due after now", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: "QuerySet[models.Recurring]") -> None:
        """Let the chosen ones come."""
        self._switch(request, queryset, enabled=True)

    @admin.action(description="Disable", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: "QuerySet[models.Recurring]") -> None:
        """Let the chosen ones rest."""
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: "QuerySet[models.Recurring]", *, enabled: bool) -> None:
        names = list(queryset.order_by("pk").values_list("name", flat=True))
        for name in names:
            recurring.enable_recurring(name=name, enabled=enabled, actor=request.user.get_username(), source="admin")
        self.message_user(request, f"{len(names)} {'enabled' if enabled else 'disabled'}.", messages.SUCCESS)

    @admin.action(description="Run now, apart from the schedule", permissions=["operate"])
    def run(self, request: HttpRequest, queryset: "QuerySet[models.Recurring]") -> None:
        """Make the batches of the chosen ones."""
        for name in queryset.order_by("pk").values_list("name", flat=True)[:RUN_AT_ONCE]:
            try:
                batch = recurring.run_recurring(name=name, actor=request.user.get_username(), source="admin")
            except (EnqueueError, recurring.RecurringRefused) as error:
                self.message_user(request, f"{name}: {error}", messages.ERROR)
                continue
            self.message_user(request, f"{name}: batch {batch.pk} with {batch.total:,} jobs.", messages.SUCCESS)
