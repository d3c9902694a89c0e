"""Workers, runs, attempts and dead letters: what was done, and what came of it."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from queues.domain import states
from queues.models.base import choices_of, one_of
from queues.models.batch import Batch
from queues.models.queue import Queue


class Worker(models.Model):
    """One start of one working process."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    host = models.CharField(max_length=200)
    machine = models.CharField(max_length=200, help_text="boot and process space: where the pid means something")
    pid = models.PositiveIntegerField()
    process_started = models.FloatField(help_text="seconds since 1970, as the system tells it")
    version = models.CharField(max_length=40)
    queues = ArrayField(models.CharField(max_length=63), default=list, blank=True)
    state = models.CharField(max_length=12, choices=choices_of(states.WorkerState))
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)
    processed = models.PositiveBigIntegerField(db_default=0, default=0)
    failed = models.PositiveBigIntegerField(db_default=0, default=0)
    late = models.PositiveBigIntegerField(db_default=0, default=0, help_text="results that came after their lease")
    command = models.CharField(
        max_length=10, choices=choices_of(states.WorkerCommand), blank=True, db_default="", default=""
    )
    commanded_by = models.CharField(max_length=150, blank=True, db_default="", default="")

    class Meta:
        constraints: ClassVar = [one_of("state", states.WorkerState), one_of("command", states.WorkerCommand)]
        indexes: ClassVar = [
            models.Index(fields=["machine"], name="worker_alive", condition=~Q(state="stopped")),
            models.Index(fields=["heartbeat_at"], name="worker_heartbeat"),
        ]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One worker's lease over some chunks of one queue: the unit of lease and of measurement."""

    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    worker = models.ForeignKey(Worker, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    handler = models.CharField(max_length=200, blank=True, db_default="")
    started_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(
        max_length=10, choices=choices_of(states.RunState), db_default=states.RunState.RUNNING.value
    )
    step = models.PositiveIntegerField(db_default=0, default=0, help_text="commits of this run so far")
    careful = models.BooleanField(db_default=False, default=False)
    marked_job = models.BigIntegerField(null=True, blank=True, help_text="what a careful run is about to do")
    chunks = models.PositiveIntegerField()
    claimed = models.PositiveIntegerField()
    wanted = models.PositiveIntegerField(db_default=0, default=0, help_text="jobs that the adaptive size aimed at")
    succeeded = models.PositiveIntegerField(db_default=0, default=0)
    failed = models.PositiveIntegerField(db_default=0, default=0, help_text="failed tries: retried and dead")
    retried = models.PositiveIntegerField(db_default=0, default=0)
    dead = models.PositiveIntegerField(db_default=0, default=0)
    cancelled = models.PositiveIntegerField(db_default=0, default=0)
    returned = models.PositiveIntegerField(db_default=0, default=0)
    late = models.PositiveIntegerField(db_default=0, default=0)
    bytes = models.PositiveBigIntegerField(db_default=0, default=0)
    wait_ms = models.FloatField(db_default=0, default=0, help_text="from due to claimed, the oldest chunk")
    p50_ms = models.FloatField(null=True, blank=True)
    p95_ms = models.FloatField(null=True, blank=True)
    max_ms = models.FloatField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            one_of("state", states.RunState),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None) | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="run_finished",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["lease_until"], name="run_lease", condition=Q(state="running")),
            models.Index(fields=["worker"], name="run_worker", condition=Q(state="running")),
            models.Index(fields=["finished_at"], name="run_finished_at"),
            models.Index(fields=["queue", "finished_at"], name="run_queue_finished_at"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"


class Attempt(models.Model):
    """One failed or lost try of one job."""

    job_id = models.BigIntegerField()
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    worker = models.ForeignKey(Worker, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=choices_of(states.AttemptKind))
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(db_default=Now())
    error_class = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints: ClassVar = [
            one_of("kind", states.AttemptKind),
            models.UniqueConstraint(fields=["job_id", "run"], name="attempt_once_per_run"),
        ]
        indexes: ClassVar = [models.Index(fields=["finished_at"], name="attempt_finished_at")]

    def __str__(self) -> str:
        return f"attempt {self.number} of job {self.job_id}"


class DeadLetter(models.Model):
    """A job that waits for a person."""

    job_id = models.BigIntegerField(primary_key=True)
    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    handler = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=30, choices=choices_of(states.DeadReason))
    error_class = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField()
    died_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["died_at", "job_id"], name="dead_died_at"),
            models.Index(fields=["queue", "died_at", "job_id"], name="dead_queue"),
            models.Index(fields=["batch", "died_at", "job_id"], name="dead_batch"),
            models.Index(fields=["fingerprint", "died_at", "job_id"], name="dead_fingerprint"),
        ]

    def __str__(self) -> str:
        return f"dead letter {self.job_id}"


class SeenCause(models.Model):
    """When a cause first had a dead letter in a queue. Written once, and kept when its letters are retried or gone."""

    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    fingerprint = models.CharField(max_length=16, blank=True)
    first_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["fingerprint", "queue"], name="seencause_once")]
        indexes: ClassVar = [models.Index(fields=["first_at"], name="seencause_first_at")]

    def __str__(self) -> str:
        return f"cause {self.fingerprint} in queue {self.queue_id}"
