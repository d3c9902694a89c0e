"""What reaches beyond the queues: schedules that make batches, and addresses and logs that are told or read."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from queues.domain import states
from queues.models.base import PRIORITIES, JSONText, choices_of
from queues.models.queue import Queue


class Recurring(models.Model):
    """A batch that is enqueued anew at each due time of a schedule of django-celery-beat."""

    name = models.CharField(max_length=200, unique=True)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="recurring")
    handler = models.CharField(max_length=200)
    crontab = models.ForeignKey(
        "django_celery_beat.CrontabSchedule", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    interval = models.ForeignKey(
        "django_celery_beat.IntervalSchedule", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    payloads = JSONText(default="[]", help_text="a JSON list: one job for each item")
    source = models.CharField(
        max_length=200, blank=True, help_text="or a declared source, which is asked for the payloads at each due time"
    )
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    priority = models.PositiveSmallIntegerField(null=True, blank=True, choices=PRIORITIES)
    failure_mode = models.CharField(
        max_length=16, choices=choices_of(states.FailureMode), default=states.FailureMode.CONTINUE
    )
    enabled = models.BooleanField(default=True, db_default=True)
    next_due_at = models.DateTimeField(null=True, blank=True, help_text="empty: not yet computed")
    last_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=500, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "recurring batches"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(crontab__isnull=False, interval=None) | Q(crontab=None, interval__isnull=False),
                name="recurring_one_schedule",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["next_due_at"], name="recurring_due", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what could never make a batch."""
        from queues.schedules import flaws

        if found := flaws(self):
            raise ValidationError(dict(found))


class Webhook(models.Model):
    """An address that is told of events by signed HTTP; each delivery is a job of its own queue."""

    name = models.CharField(max_length=200, unique=True)
    url = models.CharField(max_length=2000)
    events = ArrayField(models.CharField(max_length=40), help_text="which events; see docs/events.md")
    queue = models.ForeignKey(
        Queue, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="empty: of all queues"
    )
    enabled = models.BooleanField(default=True, db_default=True)
    salt = models.CharField(max_length=64, editable=False, help_text="the signing key is derived from it")
    created_by = models.CharField(max_length=150, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_status = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    last_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what could not be delivered to, or must not be."""
        from queues.services.webhooks import flaws

        if found := flaws(self):
            raise ValidationError(dict(found))


class KafkaOffset(models.Model):
    """The next offset to read of a partition, moved in the transaction that enqueues its messages."""

    source = models.CharField(max_length=200, help_text="consumer group")
    topic = models.CharField(max_length=249)
    partition = models.PositiveIntegerField()
    next_offset = models.PositiveBigIntegerField()
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "topic", "partition"], name="kafkaoffset_once"),
        ]

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}: {self.next_offset}"
