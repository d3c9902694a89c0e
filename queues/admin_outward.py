"""The admin of what reaches beyond the queues: links between batches, webhooks and Kafka offsets."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import CheckboxSelectMultiple, ModelForm, MultipleChoiceField
from django.http import HttpRequest

from queues import delivery, models
from queues.admin_base import BoundedAdmin, ReadOnlyAdmin
from queues.domain.webhooks import EVENTS
from queues.services import webhooks

# Each may take some seconds.
TESTED_AT_ONCE = 3


@admin.register(models.BatchLink)
class BatchLinkAdmin(ReadOnlyAdmin):
    """Which batch waits for which."""

    list_display = ("id", "before_id", "after_id")


class WebhookForm(ModelForm):  # type: ignore[type-arg]
    """The events to tick."""

    events = MultipleChoiceField(
        choices=[(event, f"{event}: {meaning}") for event, meaning in EVENTS.items()], widget=CheckboxSelectMultiple
    )

    class Meta:
        model = models.Webhook
        fields = ("name", "url", "events", "queue", "enabled")


@admin.register(models.Webhook)
class WebhookAdmin(BoundedAdmin):
    """Addresses that are told of events."""

    form = WebhookForm
    list_display = ("name", "url", "events", "queue_name", "enabled", "last_status", "last_at")
    actions = ("test",)

    def get_fields(self, request: HttpRequest, obj: models.Webhook | None = None) -> list[Any]:
        """The signing key for those who may change the webhook, and nobody else."""
        plain = ["name", "url", "events", "queue", "enabled"]
        if obj is None:
            return plain
        key = ["signing_key"] if self.has_change_permission(request, obj) else []
        return [*plain, *key, "last_status", "last_at", "created_by", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Webhook | None = None) -> list[Any]:
        """What is not typed in."""
        return self.get_fields(request, obj)[5:]

    @admin.display(description="signing key")
    def signing_key(self, obj: models.Webhook) -> str:
        """Derived, and kept nowhere."""
        return webhooks.secret(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing else hangs on a webhook: deliveries that are still owed end as cancelled."""
        return bool(request.user.has_perm("queues.delete_webhook"))

    def save_model(self, request: HttpRequest, obj: models.Webhook, form: "ModelForm[Any]", change: bool) -> None:
        """Save, with a salt of its own and its queue in place, and note who did it."""
        actor = request.user.get_username()
        with transaction.atomic():
            if not change:
                obj.salt, obj.created_by = webhooks.new_salt(), actor[:150]
                webhooks.make_queue()
            super().save_model(request, obj, form, change)
            action = "change webhook" if change else "add webhook"
            webhooks.noted(obj, action, actor=actor, source="admin", changed=form.changed_data)

    def delete_model(self, request: HttpRequest, obj: models.Webhook) -> None:
        """Remove it, and note who did."""
        webhooks.remove(name=obj.name, actor=request.user.get_username(), source="admin")

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[models.Webhook]") -> None:
        """Each by itself, so that each is noted."""
        for row in queryset:
            self.delete_model(request, row)

    @admin.action(description="Test: send a signed test event now", permissions=["operate"])
    def test(self, request: HttpRequest, queryset: "QuerySet[models.Webhook]") -> None:
        """Send one to each of a few, while the person waits."""
        for row in queryset.order_by("pk")[:TESTED_AT_ONCE]:
            try:
                answer = delivery.test(row)
            except delivery.DeliveryError as error:
                self.message_user(request, f"{row.name}: {error}", messages.ERROR)
                continue
            level = messages.SUCCESS if answer.good else messages.WARNING
            self.message_user(request, f"{row.name}: {answer.line}", level)


@admin.register(models.KafkaOffset)
class KafkaOffsetAdmin(ReadOnlyAdmin):
    """How far each partition has been read."""

    list_display = ("source", "topic", "partition", "next_offset", "updated_at")
