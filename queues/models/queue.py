"""Queues: a named lane, its policy, and its places."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from queues.domain import states
from queues.models.base import ONE, PRIORITIES, QUEUE_NAME, ZERO, choices_of, one_of


class Queue(models.Model):
    """A named lane and its policy."""

    name = models.CharField(max_length=63, unique=True, validators=[QUEUE_NAME])
    handler = models.CharField(max_length=200, blank=True, help_text="used where an enqueue names none")
    chunk_size = models.PositiveIntegerField(default=200, validators=[ONE], help_text="jobs in a chunk")
    boundaries = models.CharField(
        max_length=8,
        choices=choices_of(states.Boundaries),
        default=states.Boundaries.FIXED,
        db_default=states.Boundaries.FIXED.value,
        help_text="what cuts a batch into chunks: chunk_size, the handler's own size, or nothing (a whole stage)",
    )
    batch_threshold = models.PositiveIntegerField(
        null=True, blank=True, validators=[ONE], help_text="smaller batches are spread job by job over the workers"
    )
    run_size = models.PositiveIntegerField(default=500, validators=[ONE], help_text="most jobs in one run")
    run_start = models.PositiveIntegerField(
        default=50, db_default=50, validators=[ONE], help_text="jobs in a worker's first run"
    )
    run_least = models.PositiveIntegerField(
        default=10, db_default=10, validators=[ONE], help_text="runs are not made smaller than this"
    )
    run_target = models.FloatField(default=5.0, db_default=5.0, help_text="seconds that a run should take")
    settle_jobs = models.PositiveIntegerField(
        null=True, blank=True, validators=[ONE], help_text="settle and report a run piece by piece, after so many jobs"
    )
    concurrency = models.PositiveSmallIntegerField(
        default=1, validators=[ONE], help_text="jobs of one run at the same time"
    )
    acknowledge = models.CharField(
        max_length=16, choices=choices_of(states.Acknowledge), default=states.Acknowledge.PER_JOB
    )
    default_priority = models.PositiveSmallIntegerField(choices=PRIORITIES, default=states.Priority.NORMAL)
    max_attempts = models.PositiveSmallIntegerField(default=3, validators=[ONE])
    backoff = models.CharField(
        max_length=12,
        default="exponential",
        choices=[(name, name) for name in ("fixed", "linear", "exponential", "fibonacci")],
    )
    backoff_base = models.FloatField(default=1.0, validators=[ZERO], help_text="seconds")
    backoff_cap = models.FloatField(default=3600.0, validators=[ZERO], help_text="seconds")
    jitter = models.FloatField(default=0.25, validators=[ZERO], help_text="share of the delay, 0 to 1")
    timeout = models.FloatField(null=True, blank=True, help_text="seconds for one job")
    flush_jobs = models.PositiveIntegerField(null=True, blank=True, validators=[ONE])
    flush_bytes = models.PositiveBigIntegerField(null=True, blank=True, validators=[ONE])
    flush_seconds = models.FloatField(null=True, blank=True, validators=[ZERO])
    max_runs = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[ONE], help_text="runs in flight, over all workers"
    )
    rate_limit = models.FloatField(null=True, blank=True, help_text="jobs a second")
    rate_burst = models.FloatField(null=True, blank=True, help_text="jobs at once after a rest")
    rate_tokens = models.FloatField(default=0, db_default=0, editable=False)
    rate_filled_at = models.DateTimeField(db_default=Now(), editable=False)
    payload_rules = models.JSONField(
        default=dict, blank=True, db_default={}, help_text="max_bytes, max_depth, max_string, forbidden, required"
    )
    enqueue_rate = models.FloatField(null=True, blank=True, help_text="jobs a second that may be enqueued")
    enqueue_burst = models.FloatField(null=True, blank=True, help_text="jobs that may be enqueued at once after a rest")
    dead_letter_handler = models.CharField(
        max_length=200, blank=True, db_default="", help_text="gets one job for each job that dies"
    )
    keep_results = models.FloatField(null=True, blank=True, help_text="seconds; empty keeps none")
    archive_after = models.FloatField(default=3600.0, validators=[ZERO], help_text="seconds")
    purge_after = models.FloatField(default=2_592_000.0, validators=[ZERO], help_text="seconds")
    archive_cancelled_after = models.FloatField(
        null=True, blank=True, validators=[ZERO], help_text="seconds; empty: as archive_after"
    )
    archive_dead_after = models.FloatField(
        null=True, blank=True, validators=[ZERO], help_text="seconds; empty: dead letters wait for a person"
    )
    purge_cancelled_after = models.FloatField(
        null=True, blank=True, validators=[ZERO], help_text="seconds; empty: as purge_after"
    )
    purge_dead_after = models.FloatField(
        null=True, blank=True, validators=[ZERO], help_text="seconds; empty: as purge_after"
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, db_default="")
    pause_reason = models.CharField(max_length=300, blank=True, db_default="")
    paused_until = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True, editable=False)
    hint_error = models.CharField(
        max_length=300, blank=True, db_default="", editable=False, help_text="why the last hint could not be sent"
    )
    hint_failed_at = models.DateTimeField(null=True, blank=True, editable=False)
    hint_failures = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="hints that could not be sent since one could"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("view_console", "Can look at the console"),
            ("operate", "Can retry, cancel, delete, pause and enqueue"),
            ("empty_trash", "Can empty the trash"),
        ]
        constraints: ClassVar = [
            one_of("acknowledge", states.Acknowledge),
            one_of("boundaries", states.Boundaries),
            models.CheckConstraint(
                condition=Q(chunk_size__gte=1, run_size__gte=1, concurrency__gte=1, max_attempts__gte=1),
                name="queue_sizes",
            ),
            models.CheckConstraint(
                condition=Q(jitter__gte=0, jitter__lte=1, backoff_base__gte=0, backoff_cap__gte=0),
                name="queue_backoff",
            ),
            models.CheckConstraint(
                condition=(Q(timeout=None) | Q(timeout__gt=0))
                & (Q(rate_limit=None) | Q(rate_limit__gt=0))
                & (Q(rate_burst=None) | Q(rate_burst__gt=0))
                & (Q(max_runs=None) | Q(max_runs__gte=1)),
                name="queue_limits",
            ),
            models.CheckConstraint(
                condition=Q(run_start__gte=1, run_least__gte=1, run_target__gt=0)
                & (Q(settle_jobs=None) | Q(settle_jobs__gte=1))
                & (Q(batch_threshold=None) | Q(batch_threshold__gte=1))
                & (Q(enqueue_rate=None) | Q(enqueue_rate__gt=0))
                & (Q(enqueue_burst=None) | Q(enqueue_burst__gt=0)),
                name="queue_sizing",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a policy that cannot work."""
        from queues.policy import flaws

        if found := flaws(self):
            raise ValidationError(dict(found))


class QueueSlot(models.Model):
    """One of the `max_runs` places of a limited queue; taken by a claim, freed when its run ends."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE)
    number = models.PositiveSmallIntegerField()
    run_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["queue", "number"], name="queueslot_number"),
        ]
        indexes: ClassVar = [models.Index(fields=["run_id"], name="queueslot_run", condition=Q(run_id__isnull=False))]

    def __str__(self) -> str:
        return f"{self.queue_id}/{self.number}"


class EnqueueBucket(models.Model):
    """How many jobs may be enqueued into a queue with an enqueue rate; below 0 after a batch larger than was left.

    A row of its own and no columns of the queue: it stays locked until the enqueuer's transaction ends, and neither
    workers nor a person who pauses the queue may have to wait for that.
    """

    queue = models.OneToOneField(Queue, on_delete=models.CASCADE, primary_key=True)
    tokens = models.FloatField()
    filled_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.queue_id}: {self.tokens:g}"
