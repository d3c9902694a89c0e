"""The states, one by one: who enters, who leaves, who cleans up."""

from enum import IntEnum, StrEnum


class Priority(IntEnum):
    """Order of service within a queue; the database sorts by the number, people use the name."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    BACKGROUND = 4

    @property
    def label(self) -> str:
        """The name that people read and write."""
        return self.name.lower()


class ChunkState(StrEnum):
    """Where a chunk stands; a job without a state of its own stands where its chunk does."""

    READY = "ready"  # entered by enqueue, retry and reap; left by claim, cancel
    HELD = "held"  # entered by an open batch, a waiting stage, a paused batch; left when that ends
    LEASED = "leased"  # entered by claim; left by settle, release, reap
    PARKED = "parked"  # entered by settle with dead jobs, by delete with trashed ones; left by a person
    DONE = "done"  # entered by settle; archived, then purged
    CANCELLED = "cancelled"  # entered by cancel and fail fast; archived, then purged


class HeldWhy(StrEnum):
    """Why a chunk is held or parked."""

    NONE = ""
    OPEN = "open"  # held: its batch still takes jobs
    PAUSED = "paused"  # held: its batch is paused
    STAGE = "stage"  # held: an earlier stage has not ended
    DEAD = "dead"  # parked: out of attempts or rejected
    TRASHED = "trashed"  # parked: deleted by a person, restorable for a while


class OwnState(StrEnum):
    """A state that a job holds against its chunk's."""

    CANCELLED = "cancelled"
    TRASHED = "trashed"


class JobState(StrEnum):
    """What a person sees: derived by `job_state` here and by one expression in SQL."""

    WAITING = "waiting"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    HELD = "held"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    TRASHED = "trashed"


class BatchState(StrEnum):
    """A batch runs until none of its chunks is ready, held or leased; then `end_state` names its end."""

    RUNNING = "running"
    COMPLETED = "completed"  # every job succeeded
    PARTIAL = "partial"  # some succeeded, some are dead or cancelled
    FAILED = "failed"  # nothing succeeded, or fail-fast has stopped it
    CANCELLED = "cancelled"  # a person has stopped it


class StopReason(StrEnum):
    """Why a running batch is to take no further step; set once, under the batch's lock."""

    NONE = ""
    FAIL_FAST = "fail_fast"
    CANCELLED = "cancelled"
    UPSTREAM = "upstream"  # a batch that it waited for has not ended as it should


class AfterPolicy(StrEnum):
    """Which end of the batches before it lets a waiting batch start; any other end stops it."""

    COMPLETED = "completed"  # every job has succeeded
    ENDED = "ended"  # however


class Boundaries(StrEnum):
    """What cuts a batch into chunks."""

    FIXED = "fixed"  # the queue's chunk size, or the batch's own
    HANDLER = "handler"  # what the handler declares: large for light work, small for heavy
    STAGE = "stage"  # nothing: one chunk for a whole stage, as far as a chunk may be large


class FailureMode(StrEnum):
    """What the first dead job means for its batch."""

    CONTINUE = "continue"
    FAIL_FAST = "fail_fast"
    COLLECT = "collect_errors"


class RunState(StrEnum):
    """A run is left exactly once: by settle, by the reaper or by a release."""

    RUNNING = "running"
    DONE = "done"
    LOST = "lost"
    RELEASED = "released"


class AttemptKind(StrEnum):
    """How a try of one job went wrong."""

    ERROR = "error"
    TIMEOUT = "timeout"
    LOST = "lost"
    REJECTED = "rejected"


class DeadReason(StrEnum):
    """Why a job became a dead letter."""

    EXHAUSTED = "out of attempts"
    REJECTED = "rejected by its handler"
    WORKER_LOST = "worker lost"


class WorkerState(StrEnum):
    """What a worker process is doing."""

    READY = "ready"
    POLLING = "polling"
    SUSPENDED = "suspended"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


class WorkerCommand(StrEnum):
    """What a worker is told from outside; it obeys at its next tick."""

    NONE = ""
    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"


class Acknowledge(StrEnum):
    """What a failure within a whole-call run means for its neighbours."""

    PER_JOB = "per_job"
    ALL_OR_NOTHING = "all_or_nothing"
    LAST_SUCCESSFUL = "last_successful"
    BEST_EFFORT = "best_effort"


class Outcome(StrEnum):
    """The one end of a job, as the archive keeps it."""

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    DEAD = "dead"  # a dead letter that nobody came for


UNFINISHED = (ChunkState.READY, ChunkState.HELD, ChunkState.LEASED)


def job_state(
    chunk: ChunkState,
    why: HeldWhy,
    own: OwnState | None,
    bit: bool,
    *,
    due: bool,
    failures: int,
) -> JobState:
    """A job's state, first hit wins: its own, its bit, its chunk's.

    `due` says whether the chunk's `run_at` has come; `failures` counts the job's failed attempts.
    `sql/job_state.sql` is the same rule for the database; a test holds the two together.
    """
    if own is not None:
        return JobState.CANCELLED if own is OwnState.CANCELLED else JobState.TRASHED
    if bit:
        return JobState.SUCCEEDED
    if chunk is ChunkState.READY:
        if due:
            return JobState.WAITING
        return JobState.RETRYING if failures else JobState.SCHEDULED
    if chunk is ChunkState.PARKED:
        return JobState.TRASHED if why is HeldWhy.TRASHED else JobState.DEAD
    return {
        ChunkState.HELD: JobState.HELD,
        ChunkState.LEASED: JobState.RUNNING,
        ChunkState.DONE: JobState.SUCCEEDED,
        ChunkState.CANCELLED: JobState.CANCELLED,
    }[chunk]


def end_state(stop: StopReason, total: int, succeeded: int) -> BatchState:
    """The end of a batch of `total` jobs of which `succeeded` did and none is unfinished."""
    if stop in (StopReason.CANCELLED, StopReason.UPSTREAM):
        return BatchState.CANCELLED
    if stop is StopReason.FAIL_FAST or (succeeded == 0 and total > 0):
        return BatchState.FAILED
    return BatchState.COMPLETED if succeeded == total else BatchState.PARTIAL
