"""What is kept: the archive, the audit, and the bulk commands of people."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from queues.domain import states
from queues.models.base import PRIORITIES, JSONText, choices_of
from queues.models.batch import Batch
from queues.models.queue import Queue


class ArchivedJob(models.Model):
    """A finished job, out of the hot tables; partitioned by id range, so that purging is mostly dropping."""

    id = models.BigIntegerField(primary_key=True)
    batch_id = models.BigIntegerField(null=True, blank=True)
    chunk_id = models.BigIntegerField(help_text="where it ended; the row stays as long as its batch")
    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    handler = models.CharField(max_length=200)
    priority = models.PositiveSmallIntegerField(choices=PRIORITIES)
    outcome = models.CharField(max_length=10, choices=choices_of(states.Outcome))
    payload = JSONText()
    failures = models.PositiveSmallIntegerField(db_default=0, default=0)
    enqueued_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["batch_id", "id"], name="archived_batch"),
            models.Index(fields=["queue", "finished_at", "id"], name="archived_queue"),
            models.Index(
                fields=["queue", "outcome", "finished_at", "id"],
                name="archived_not_succeeded",
                condition=Q(outcome__in=["cancelled", "dead"]),
            ),
        ]

    def __str__(self) -> str:
        return f"archived job {self.pk}"


# What code and the system enqueue: there may be more entries of these batches than of all else.
ENQUEUES, CODE = ("enqueue batch", "seal batch"), ("api", "system")
BY_THEMSELVES = Q(action__in=ENQUEUES, source__in=CODE)


class AuditEntry(models.Model):
    """Who changed what, why, with what outcome; written in the transaction of the change."""

    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150)
    source = models.CharField(max_length=10, help_text="page, admin, command or api")
    action = models.CharField(max_length=40)
    target = models.CharField(max_length=200)
    reason = models.CharField(max_length=300, blank=True)
    outcome = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["at", "id"], name="audit_at"),
            # So that what is looked for among the newest is not lost among those.
            models.Index(fields=["at", "id"], name="audit_deeds", condition=~BY_THEMSELVES),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"

    @classmethod
    def deeds(cls) -> "models.QuerySet[AuditEntry]":
        """All but what code and the system enqueue, along an index of its own."""
        return cls.objects.filter(~BY_THEMSELVES)


class Operation(models.Model):
    """A bulk command of a person, run in the background in bounded rounds."""

    STATES = ("running", "done", "cancelled")

    action = models.CharField(max_length=40)
    selection = models.JSONField(default=dict, help_text="the filter that was frozen")
    actor = models.CharField(max_length=150)
    source = models.CharField(max_length=10)
    reason = models.CharField(max_length=300, blank=True)
    options = models.JSONField(default=dict, blank=True, db_default={}, help_text="the new priority or queue")
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], db_default="running")
    total = models.PositiveBigIntegerField(default=0, db_default=0)
    changed = models.PositiveBigIntegerField(default=0, db_default=0)
    skipped = models.PositiveBigIntegerField(default=0, db_default=0)
    outcomes = models.JSONField(default=dict, blank=True, db_default={}, help_text="jobs by what became of them")
    cursor = models.BigIntegerField(default=0, db_default=0, help_text="last job that was looked at in this pass")
    audit_id = models.BigIntegerField(null=True, blank=True, help_text="the entry that gets the outcome")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None) | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="operation_finished",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["id"], name="operation_running", condition=Q(state="running"))]

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"


class OperationItem(models.Model):
    """One job of a frozen selection: pending until a round has changed or skipped it."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, db_index=False)
    job_id = models.BigIntegerField()
    outcome = models.CharField(max_length=40, blank=True, db_default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["operation", "job_id"], name="operationitem_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["operation", "job_id"], name="operationitem_pending", condition=Q(outcome=""))
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}: {self.job_id}"


class TrashedJob(models.Model):
    """A deleted job: what it was, so that it can be that again, and who deleted it when and why."""

    job_id = models.BigIntegerField(primary_key=True)
    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    handler = models.CharField(max_length=200)
    was = models.CharField(max_length=10, choices=choices_of(states.JobState))
    run_at = models.DateTimeField(null=True, blank=True, help_text="when it was to run")
    letter = models.JSONField(null=True, blank=True, help_text="the dead letter that it was")
    unique_key = models.CharField(max_length=200, blank=True, help_text="given back when it was deleted")
    operation_id = models.BigIntegerField(null=True, blank=True)
    deleted_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    deleted_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["deleted_at", "job_id"], name="trashed_at"),
            models.Index(fields=["queue", "deleted_at", "job_id"], name="trashed_queue"),
            models.Index(fields=["batch", "deleted_at", "job_id"], name="trashed_batch"),
        ]

    def __str__(self) -> str:
        return f"deleted job {self.job_id}"
