"""The rows that the engine works with, as plain records."""

import builtins
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from queues.domain.states import Acknowledge, FailureMode


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run needs to know of its queue. Seconds and jobs."""

    queue_id: int
    name: str
    run_size: int
    chunk_size: int
    concurrency: int
    acknowledge: Acknowledge
    max_attempts: int
    backoff: str
    backoff_base: float
    backoff_cap: float
    jitter: float
    timeout: float | None
    keep_results: float | None
    limited: bool
    flushes: bool
    run_start: int = 50
    run_least: int = 10
    run_target: float = 5.0
    settle_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class EnqueueLimit:
    """How fast jobs may come into a queue: so many a second, and so many at once after a rest."""

    rate: float
    burst: float | None = None

    @property
    def size(self) -> float:
        """Tokens in a full bucket."""
        return max(self.rate, 1.0) if self.burst is None else self.burst


class ClaimedChunk(NamedTuple):
    """A chunk as it was leased. `first_id` and `span`, or `job_ids`, say where its jobs were born.

    A tuple, because a run of jobs enqueued singly makes a thousand of them, and `run_at` is in seconds since 1970,
    because it serves to order them: reading a time costs as much as all the other values together.
    """

    run_id: int
    id: int
    batch_id: int | None
    handler: str
    priority: int
    run_at: float
    size: int
    succeeded: int
    cancelled: int
    bytes: int
    first_id: int | None
    span: int | None
    job_ids: list[int] | None
    ended: builtins.bytes | None
    losses: int
    tries: int
    solo: bool
    has_keys: bool

    @property
    def born(self) -> int:
        """How many jobs it had at birth: the length of its bitmap."""
        return self.span if self.span is not None else len(self.job_ids or ())

    def place(self, job_id: int) -> int:
        """The job's bit: its offset at birth."""
        if self.first_id is not None:
            return job_id - self.first_id
        return (self.job_ids or []).index(job_id)


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What a run needs to know of a batch."""

    id: int
    failure_mode: FailureMode
    parent_id: int | None
    stopping: bool


@dataclass(slots=True)
class Claim:
    """A run with its chunks in the order of service and, once loaded, its jobs."""

    run_id: int
    worker_id: UUID
    policy: Policy
    handler: str
    chunks: list[ClaimedChunk]
    ids: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    payloads: list[Any] = field(default_factory=list)
    batches: dict[int, BatchFacts] = field(default_factory=dict)

    @property
    def careful(self) -> bool:
        """Whether it runs alone, each job marked before it starts."""
        return self.chunks[0].solo

    @property
    def batch_ids(self) -> list[int]:
        """Its batches, sorted."""
        return sorted({c.batch_id for c in self.chunks if c.batch_id is not None})

    def chunk_of(self, index: int) -> ClaimedChunk:
        """The chunk of the job at this index."""
        return self.chunks[self.places[index] - 1]


@dataclass(frozen=True, slots=True)
class Timing:
    """Handler milliseconds of a run."""

    p50: float | None = None
    p95: float | None = None
    max: float | None = None
