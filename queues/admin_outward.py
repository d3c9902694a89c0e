"""The admin of what reaches beyond the queues: links between batches, schedules, webhooks and Kafka offsets."""

from django.contrib import admin

from queues import models
from queues.admin_base import BoundedAdmin, ReadOnlyAdmin


@admin.register(models.BatchLink)
class BatchLinkAdmin(ReadOnlyAdmin):
    """Which batch waits for which."""

    list_display = ("id", "before_id", "after_id")


@admin.register(models.Recurring)
class RecurringAdmin(BoundedAdmin):
    """Batches that come again by a schedule."""

    list_display = ("name", "queue_name", "handler", "enabled", "next_due_at", "last_due_at", "last_error")


@admin.register(models.Webhook)
class WebhookAdmin(BoundedAdmin):
    """Addresses that are told of events."""

    list_display = ("name", "url", "events", "queue_name", "enabled", "last_status", "last_at")


@admin.register(models.KafkaOffset)
class KafkaOffsetAdmin(ReadOnlyAdmin):
    """How far each partition has been read."""

    list_display = ("source", "topic", "partition", "next_offset", "updated_at")
