"""The tables. Rules live in `domain`, writes in `services`, reads in `selectors`; a model only says what is.

Ids are bigint. `Job` carries neither constraint nor index towards its chunk and batch: each costs every
enqueued job, and the enqueue transaction is what keeps them true.
"""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from queues.domain import states

QUEUE_NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z",
    "a name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit",
)
ONE = MinValueValidator(1)
ZERO = MinValueValidator(0)


def _one_of(field: str, enum: type) -> models.CheckConstraint:
    values = [member.value for member in enum]  # type: ignore[attr-defined]
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": values}), name=f"%(app_label)s_%(class)s_{field}"
    )


class JSONText(models.TextField):  # type: ignore[type-arg]
    """A `json` column, read and written as its text.

    `json` keeps numbers exactly as written and costs half of `jsonb` at enqueue.
    """

    def db_type(self, connection: Any) -> str:
        """The column's type."""
        return "json"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Read as text: a parser in between would round large numbers."""
        return f"({sql})::text", params


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ") or "-") for member in enum]  # type: ignore[attr-defined]


PRIORITIES = [(priority.value, priority.label) for priority in states.Priority]


class Queue(models.Model):
    """A named lane and its policy."""

    name = models.CharField(max_length=63, unique=True, validators=[QUEUE_NAME])
    handler = models.CharField(max_length=200, blank=True, help_text="used where an enqueue names none")
    chunk_size = models.PositiveIntegerField(default=200, validators=[ONE], help_text="jobs in a chunk")
    run_size = models.PositiveIntegerField(default=1000, validators=[ONE], help_text="most jobs in one run")
    concurrency = models.PositiveSmallIntegerField(
        default=1, validators=[ONE], help_text="jobs of one run at the same time"
    )
    acknowledge = models.CharField(
        max_length=16, choices=_choices(states.Acknowledge), default=states.Acknowledge.PER_JOB
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
    keep_results = models.FloatField(null=True, blank=True, help_text="seconds; empty keeps none")
    archive_after = models.FloatField(default=3600.0, validators=[ZERO], help_text="seconds")
    purge_after = models.FloatField(default=2_592_000.0, validators=[ZERO], help_text="seconds")
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, db_default="")
    pause_reason = models.CharField(max_length=300, blank=True, db_default="")
    paused_until = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("view_console", "Can look at the console"),
            ("operate", "Can retry, cancel, delete, pause and enqueue"),
        ]
        constraints: ClassVar = [
            _one_of("acknowledge", states.Acknowledge),
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
        indexes: ClassVar = [
            models.Index(fields=["run_id"], name="queueslot_run", condition=Q(run_id__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.queue_id}/{self.number}"


class Batch(models.Model):
    """Jobs submitted together: the unit of intent."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="batches")
    handler = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    failure_mode = models.CharField(
        max_length=16, choices=_choices(states.FailureMode), default=states.FailureMode.CONTINUE
    )
    state = models.CharField(
        max_length=12, choices=_choices(states.BatchState), db_default=states.BatchState.RUNNING.value
    )
    stop_reason = models.CharField(
        max_length=12, choices=_choices(states.StopReason), blank=True, db_default=""
    )
    chunk_size = models.PositiveIntegerField()
    total = models.PositiveBigIntegerField(default=0, db_default=0)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="parts"
    )
    is_parent = models.BooleanField(default=False, db_default=False, help_text="its jobs are in its parts")
    part = models.PositiveIntegerField(null=True, blank=True, help_text="its number among the parts, from 1")
    stage = models.PositiveSmallIntegerField(default=1, db_default=1)
    idempotency_key = models.CharField(max_length=200, null=True, blank=True, unique=True)
    content_hash = models.CharField(max_length=64, blank=True, db_default="")
    first_job_id = models.BigIntegerField(null=True, blank=True)
    last_job_id = models.BigIntegerField(null=True, blank=True)
    callback_handler = models.CharField(max_length=200, blank=True, db_default="")
    callback_queue = models.ForeignKey(
        Queue, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    callback_each_end = models.BooleanField(default=False, db_default=False)
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
            _one_of("state", states.BatchState),
            _one_of("failure_mode", states.FailureMode),
            _one_of("stop_reason", states.StopReason),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None)
                | (~Q(state="running") & Q(finished_at__isnull=False, sealed_at__isnull=False)),
                name="batch_finished",
            ),
            models.CheckConstraint(condition=Q(chunk_size__gte=1), name="batch_chunk_size"),
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
        ]

    def __str__(self) -> str:
        return self.name or f"batch {self.pk}"


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
    state = models.CharField(max_length=10, choices=_choices(states.ChunkState))
    held_why = models.CharField(max_length=10, choices=_choices(states.HeldWhy), blank=True, db_default="")
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
            _one_of("state", states.ChunkState),
            models.CheckConstraint(
                condition=~Q(state="leased") | Q(run_id__isnull=False), name="chunk_leased_has_run"
            ),
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
            models.CheckConstraint(
                condition=Q(size__gte=F("succeeded") + F("cancelled")), name="chunk_counts"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["queue", "priority", "run_at", "id"], name="chunk_claim", condition=Q(state="ready")
            ),
            models.Index(fields=["run_id"], name="chunk_leased", condition=Q(state="leased")),
            models.Index(
                fields=["batch"], name="chunk_unfinished", condition=Q(state__in=["ready", "held", "leased"])
            ),
            models.Index(fields=["batch", "id"], name="chunk_batch", condition=Q(batch__isnull=False)),
            models.Index(fields=["queue", "finished_at", "id"], name="chunk_done", condition=Q(state="done")),
            models.Index(fields=["queue", "created_at", "id"], name="chunk_created"),
            models.Index(fields=["queue", "id"], name="chunk_parked", condition=Q(state="parked")),
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
        max_length=10, null=True, blank=True, choices=_choices(states.OwnState)
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["own_state", "id"], name="job_own_state", condition=Q(own_state__isnull=False))
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"


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
    state = models.CharField(max_length=12, choices=_choices(states.WorkerState))
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)
    processed = models.PositiveBigIntegerField(db_default=0, default=0)
    failed = models.PositiveBigIntegerField(db_default=0, default=0)
    late = models.PositiveBigIntegerField(db_default=0, default=0, help_text="results that came after their lease")

    class Meta:
        constraints: ClassVar = [_one_of("state", states.WorkerState)]
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
        max_length=10, choices=_choices(states.RunState), db_default=states.RunState.RUNNING.value
    )
    step = models.PositiveIntegerField(db_default=0, default=0, help_text="commits of this run so far")
    careful = models.BooleanField(db_default=False, default=False)
    marked_job = models.BigIntegerField(null=True, blank=True, help_text="what a careful run is about to do")
    chunks = models.PositiveIntegerField()
    claimed = models.PositiveIntegerField()
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
            _one_of("state", states.RunState),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
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
    kind = models.CharField(max_length=10, choices=_choices(states.AttemptKind))
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(db_default=Now())
    error_class = models.CharField(max_length=200, blank=True)
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints: ClassVar = [
            _one_of("kind", states.AttemptKind),
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
    reason = models.CharField(max_length=30, choices=_choices(states.DeadReason))
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


class ArchivedJob(models.Model):
    """A finished job, out of the hot tables; partitioned by id range, so that purging is mostly dropping."""

    id = models.BigIntegerField(primary_key=True)
    batch_id = models.BigIntegerField(null=True, blank=True)
    chunk_id = models.BigIntegerField(help_text="where it ended; the row stays as long as its batch")
    queue = models.ForeignKey(Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    handler = models.CharField(max_length=200)
    priority = models.PositiveSmallIntegerField(choices=PRIORITIES)
    outcome = models.CharField(max_length=10, choices=_choices(states.Outcome))
    payload = JSONText()
    failures = models.PositiveSmallIntegerField(db_default=0, default=0)
    enqueued_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["batch_id", "id"], name="archived_batch"),
            models.Index(fields=["queue", "finished_at", "id"], name="archived_queue"),
        ]

    def __str__(self) -> str:
        return f"archived job {self.pk}"


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
        indexes: ClassVar = [models.Index(fields=["at", "id"], name="audit_at")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class Operation(models.Model):
    """A bulk command of a person, run in the background in bounded rounds."""

    STATES = ("running", "done", "cancelled")

    action = models.CharField(max_length=40)
    selection = models.JSONField(default=dict, help_text="the filter that was frozen")
    actor = models.CharField(max_length=150)
    source = models.CharField(max_length=10)
    reason = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], db_default="running")
    total = models.PositiveBigIntegerField(default=0, db_default=0)
    changed = models.PositiveBigIntegerField(default=0, db_default=0)
    skipped = models.PositiveBigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="operation_finished",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="operation_running", condition=Q(state="running"))
        ]

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
            models.Index(
                fields=["operation", "job_id"], name="operationitem_pending", condition=Q(outcome="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}: {self.job_id}"
