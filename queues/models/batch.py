"""Batches, chunks and jobs: what was handed over, and where it stands."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from queues.domain import states
from queues.models.base import PRIORITIES, JSONText, choices_of, one_of
from queues.models.queue import Queue


class Batch(models.Model):
    """Jobs submitted together: the unit of intent."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="batches")
    handler = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    failure_mode = models.CharField(
        max_length=16, choices=choices_of(states.FailureMode), default=states.FailureMode.CONTINUE
    )
    state = models.CharField(
        max_length=12, choices=choices_of(states.BatchState), db_default=states.BatchState.RUNNING.value
    )
    stop_reason = models.CharField(max_length=12, choices=choices_of(states.StopReason), blank=True, db_default="")
    chunk_size = models.PositiveIntegerField()
    total = models.PositiveBigIntegerField(default=0, db_default=0)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="parts")
    is_parent = models.BooleanField(default=False, db_default=False, help_text="its jobs are in its parts")
    part = models.PositiveIntegerField(null=True, blank=True, help_text="its number among the parts, from 1")
    stage = models.PositiveSmallIntegerField(default=1, db_default=1)
    idempotency_key = models.CharField(max_length=200, null=True, blank=True, unique=True)
    content_hash = models.CharField(max_length=64, blank=True, db_default="")
    first_job_id = models.BigIntegerField(null=True, blank=True)
    last_job_id = models.BigIntegerField(null=True, blank=True)
    callback_handler = models.CharField(max_length=200, blank=True, db_default="")
    callback_queue = models.ForeignKey(Queue, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    callback_each_end = models.BooleanField(default=False, db_default=False)
    after_policy = models.CharField(
        max_length=10,
        choices=choices_of(states.AfterPolicy),
        default=states.AfterPolicy.COMPLETED,
        db_default=states.AfterPolicy.COMPLETED.value,
        help_text="which end of the batches before it lets it start",
    )
    then_handler = models.CharField(
        max_length=200, blank=True, db_default="", help_text="gets a batch of this one's results"
    )
    then_queue = models.ForeignKey(Queue, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    recurring = models.ForeignKey(
        "queues.Recurring", null=True, blank=True, on_delete=models.SET_NULL, related_name="batches"
    )
    due_at = models.DateTimeField(null=True, blank=True, help_text="when the schedule wanted it")
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, db_default="")
    pause_reason = models.CharField(max_length=300, blank=True, db_default="")
    error_digest = models.JSONField(
        null=True, blank=True, help_text="collect_errors: failed tries by cause, counted when the batch ended"
    )
    created_by = models.CharField(max_length=150, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sealed_at = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    generation = models.PositiveIntegerField(default=0, db_default=0, help_text="how often it has ended")
    succeeded = models.PositiveBigIntegerField(null=True, blank=True)
    dead = models.PositiveBigIntegerField(null=True, blank=True)
    cancelled = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "batches"
        constraints: ClassVar = [
            one_of("state", states.BatchState),
            one_of("failure_mode", states.FailureMode),
            one_of("stop_reason", states.StopReason),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None)
                | (~Q(state="running") & Q(finished_at__isnull=False, sealed_at__isnull=False)),
                name="batch_finished",
            ),
            models.CheckConstraint(condition=Q(chunk_size__gte=1), name="batch_chunk_size"),
            one_of("after_policy", states.AfterPolicy),
            models.UniqueConstraint(fields=["recurring", "due_at"], name="batch_once_per_due_time"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "id"], name="batch_state"),
            models.Index(fields=["id"], name="batch_running", condition=Q(state="running")),
            models.Index(
                fields=["created_at"],
                name="batch_unannounced",
                condition=Q(queued_at=None, state="running", sealed_at__isnull=False),
            ),
            models.Index(fields=["finished_at"], name="batch_finished_at"),
            models.Index(fields=["name", "id"], name="batch_name"),
            GinIndex(fields=["metadata"], name="batch_metadata", opclasses=["jsonb_path_ops"], fastupdate=False),
        ]

    def __str__(self) -> str:
        return self.name or f"batch {self.pk}"

    def wait(self, timeout: float | None = None) -> states.BatchState:
        """Wait until it has ended, and return how. Raises `TimeoutError`."""
        from queues.waiting import wait

        return wait(self, timeout)

    async def wait_async(self, timeout: float | None = None) -> states.BatchState:
        """`wait` for an event loop, which goes on meanwhile."""
        from queues.waiting import await_end

        return await await_end(self, timeout)


def batch_id(batch: "Batch | int") -> int:
    """The number of a batch that is given as itself or as its number. Raises `TypeError` for what is neither."""
    number = batch.pk if isinstance(batch, Batch) else batch
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
        raise TypeError(f"a batch or its id is needed, not {number!r:.60}")
    return number


class BatchLink(models.Model):
    """One batch waits for the end of another. Links never form a circle."""

    before = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="links_after", db_index=False)
    after = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="links_before")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["before", "after"], name="batchlink_once"),
            models.CheckConstraint(condition=~Q(before=F("after")), name="batchlink_other"),
        ]

    def __str__(self) -> str:
        return f"{self.before_id} before {self.after_id}"


class Chunk(models.Model):
    """Jobs of one queue, handler, priority and due time: the unit of state."""

    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    handler = models.CharField(max_length=200)
    priority = models.PositiveSmallIntegerField(choices=PRIORITIES)
    run_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=choices_of(states.ChunkState))
    held_why = models.CharField(max_length=10, choices=choices_of(states.HeldWhy), blank=True, db_default="")
    size = models.PositiveIntegerField(help_text="jobs that point to this chunk")
    succeeded = models.PositiveIntegerField(db_default=0, default=0)
    cancelled = models.PositiveIntegerField(db_default=0, default=0)
    bytes = models.PositiveBigIntegerField(db_default=0, default=0)
    first_id = models.BigIntegerField(null=True, blank=True)
    span = models.PositiveIntegerField(null=True, blank=True)
    job_ids = ArrayField(models.BigIntegerField(), null=True, blank=True)
    ended = models.BinaryField(null=True, blank=True, help_text="bit i: the job born at place i has succeeded")
    run_id = models.BigIntegerField(null=True, blank=True)
    run_ids = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    losses = models.PositiveSmallIntegerField(db_default=0, default=0)
    tries = models.PositiveSmallIntegerField(db_default=0, default=0)
    solo = models.BooleanField(db_default=False, default=False)
    has_keys = models.BooleanField(db_default=False, default=False)
    is_retry = models.BooleanField(db_default=False, default=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            one_of("state", states.ChunkState),
            models.CheckConstraint(condition=~Q(state="leased") | Q(run_id__isnull=False), name="chunk_leased_has_run"),
            models.CheckConstraint(
                condition=Q(state__in=["done", "cancelled"], finished_at__isnull=False)
                | (~Q(state__in=["done", "cancelled"]) & Q(finished_at=None)),
                name="chunk_finished",
            ),
            models.CheckConstraint(
                condition=Q(first_id__isnull=False, span__isnull=False, job_ids=None)
                | Q(first_id=None, span=None, job_ids__isnull=False),
                name="chunk_birth",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(size=F("succeeded") + F("cancelled")), name="chunk_done_counts"
            ),
            models.CheckConstraint(condition=Q(size__gte=F("succeeded") + F("cancelled")), name="chunk_counts"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["queue", "priority", "run_at", "id"], name="chunk_claim", condition=Q(state="ready")),
            models.Index(fields=["run_id"], name="chunk_leased", condition=Q(state="leased")),
            # Of a batch, else the planner takes it for the chunks of a queue: it reads all queues' chunks for each one.
            models.Index(
                fields=["batch"],
                name="chunk_unfinished",
                condition=Q(batch__isnull=False, state__in=["ready", "held", "leased"]),
            ),
            models.Index(fields=["batch", "id"], name="chunk_batch", condition=Q(batch__isnull=False)),
            models.Index(fields=["queue", "finished_at", "id"], name="chunk_done", condition=Q(state="done")),
            models.Index(fields=["queue", "created_at", "id"], name="chunk_created"),
            models.Index(fields=["queue", "id"], name="chunk_parked", condition=Q(state="parked")),
            models.Index(fields=["queue", "id"], name="chunk_held", condition=Q(state="held")),
            models.Index(
                fields=["queue", "finished_at", "id"],
                name="chunk_to_archive",
                condition=Q(state__in=["done", "cancelled"], archived_at=None),
            ),
            models.Index(
                fields=["created_at", "id"],
                name="chunk_trash",
                condition=Q(state="parked", held_why="trashed"),
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.pk}"


class Job(models.Model):
    """One payload for one handler. Written once; touched again only when something goes wrong."""

    id = models.BigIntegerField(primary_key=True)
    chunk = models.ForeignKey(Chunk, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    payload = JSONText()
    failures = models.PositiveSmallIntegerField(db_default=0, default=0)
    own_state = models.CharField(  # noqa: DJ001
        max_length=10, null=True, blank=True, choices=choices_of(states.OwnState)
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["own_state", "id"], name="job_own_state", condition=Q(own_state__isnull=False))
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"


class JobKey(models.Model):
    """The unique key of an unfinished job; a dead letter keeps it."""

    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    key = models.CharField(max_length=200)
    job_id = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["queue", "key"], name="jobkey_unique")]
        indexes: ClassVar = [models.Index(fields=["job_id"], name="jobkey_job")]

    def __str__(self) -> str:
        return self.key


class JobResult(models.Model):
    """What a handler returned, where the queue keeps it."""

    job_id = models.BigIntegerField(primary_key=True)
    value = JSONText()
    expires_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="result_expires_at")]

    def __str__(self) -> str:
        return f"result of job {self.job_id}"
