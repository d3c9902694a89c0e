"""From outcomes to what happens: which rows a settle or checkpoint writes. Pure: decide first, then write.

`judge` says which failed jobs die; from that the caller knows which batches to lock. `plan`, told which
batches are stopping, makes the rows. Neither changes what it is given: a settle that is rolled back can be
planned again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from queues.domain.backoff import Backoff
from queues.domain.outcomes import SHORTEST_SNOOZE, Cancel, Failure, Outcome, Return, Snooze
from queues.domain.records import Claim, ClaimedChunk, Policy
from queues.domain.states import AttemptKind, ChunkState, DeadReason, FailureMode, HeldWhy, OwnState


@dataclass(slots=True)
class Ended:
    """What has ended since the last commit of a run, by index of the claim's jobs."""

    succeeded: list[int] = field(default_factory=list)
    others: dict[int, Failure | Outcome] = field(default_factory=dict)
    put_back: dict[int, Failure | None] = field(default_factory=dict)
    final: set[int] = field(default_factory=set)
    fresh: bool = False
    values: dict[int, str] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there is something to record."""
        return bool(self.succeeded or self.others or self.put_back)


@dataclass(slots=True)
class Progress:
    """What the database knows of one leased chunk."""

    size: int
    succeeded: int
    cancelled: int
    ended: bytearray | None = None

    @property
    def open(self) -> int:
        """Members that have not ended."""
        return self.size - self.succeeded - self.cancelled

    def copy(self) -> "Progress":
        """Its own copy."""
        ended = bytearray(self.ended) if self.ended is not None else None
        return Progress(self.size, self.succeeded, self.cancelled, ended)

    @classmethod
    def of(cls, chunk: ClaimedChunk) -> "Progress":
        """As claimed."""
        ended = bytearray(chunk.ended) if chunk.ended is not None else None
        return cls(chunk.size, chunk.succeeded, chunk.cancelled, ended)


@dataclass(slots=True)
class NewChunk:
    """A chunk to be made of jobs that leave theirs."""

    batch_id: int | None
    priority: int
    state: ChunkState
    held_why: HeldWhy
    delay: float
    until: datetime | None
    has_keys: bool
    solo: bool = False
    losses: int = 0
    bytes: int = 0
    job_ids: list[int] = field(default_factory=list)
    again: bool = True  # they have failed before; not so what was only put off or given back


@dataclass(frozen=True, slots=True)
class Move:
    """A change of one job: into `new` (an index of the plan's new chunks) or, with None, in its place."""

    job_id: int
    old_chunk: int
    new: int | None
    burn: int
    own: OwnState | None


@dataclass(frozen=True, slots=True)
class ChunkUpdate:
    """What becomes of one leased chunk."""

    id: int
    gone: int
    succeeded: int
    cancelled: int
    ended: bytes | None
    state: ChunkState
    tried: int
    delay: float | None


@dataclass(frozen=True, slots=True)
class Dead:
    """A job that becomes a dead letter."""

    job_id: int
    batch_id: int | None
    failure: Failure
    reason: DeadReason


@dataclass(slots=True)
class Counts:
    """Jobs by what became of them."""

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    cancelled: int = 0
    returned: int = 0


@dataclass(slots=True)
class Plan:
    """The rows of one settle or checkpoint."""

    updates: list[ChunkUpdate] = field(default_factory=list)
    new_chunks: list[NewChunk] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    attempts: list[tuple[int, Failure]] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    results: list[tuple[int, str]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    progress: dict[int, Progress] = field(default_factory=dict)


def dead_reason(failure: Failure, failures: int, max_attempts: int) -> DeadReason | None:
    """Why this failed try, with `failures` before it, ends the job; None while it has attempts left."""
    if failure.kind == AttemptKind.REJECTED:
        return DeadReason.REJECTED
    if failures + 1 < max_attempts:
        return None
    return DeadReason.WORKER_LOST if failure.kind == AttemptKind.LOST else DeadReason.EXHAUSTED


def judge(claim: Claim, ended: Ended) -> dict[int, DeadReason]:
    """The failed jobs that die, by index, with the reason."""
    deaths: dict[int, DeadReason] = {}
    for index, end in ended.others.items():
        if isinstance(end, Failure):
            reason = dead_reason(end, claim.failures[index], claim.policy.max_attempts)
            if reason is None and index in ended.final:
                reason = DeadReason.EXHAUSTED
            if reason is not None:
                deaths[index] = reason
    return deaths


def fail_fast_batches(claim: Claim, deaths: Iterable[int]) -> set[int]:
    """The batches that these deaths stop."""
    batches = {claim.chunk_of(index).batch_id for index in deaths}
    return {
        batch
        for batch in batches
        if batch is not None and batch in claim.batches and claim.batches[batch].failure_mode is FailureMode.FAIL_FAST
    }


def plan(
    claim: Claim,
    progress: dict[int, Progress],
    ended: Ended,
    deaths: dict[int, DeadReason],
    *,
    stopping: set[int],
    final: bool,
    uniform: Callable[[], float],
) -> Plan:
    """The rows for what has ended. `progress` maps the chunks still leased; `uniform` draws from [0, 1).

    In a stopping batch nothing new gets ready: what would be tried again or given back is cancelled instead.
    With `final`, jobs that never started return with their chunk.
    """
    return _Planner(claim, progress, ended, deaths, stopping, final, uniform).make()


class _Planner:
    def __init__(
        self,
        claim: Claim,
        progress: dict[int, Progress],
        ended: Ended,
        deaths: dict[int, DeadReason],
        stopping: set[int],
        final: bool,
        uniform: Callable[[], float],
    ) -> None:
        self.claim, self.ended, self.deaths = claim, ended, deaths
        self.stopping, self.final, self.uniform = stopping, final, uniform
        self.known = progress
        self.chunks = {chunk.id: chunk for chunk in claim.chunks}
        self.gone: defaultdict[int, int] = defaultdict(int)
        self.cancelled: defaultdict[int, int] = defaultdict(int)
        self.groups: dict[tuple[object, ...], int] = {}
        self.successes: defaultdict[int, list[int]] = defaultdict(list)
        self.plan = Plan()

    def make(self) -> Plan:
        self._succeed()
        for index, end in self.ended.others.items():
            self._exception(index, end)
        for index, failure in self.ended.put_back.items():
            if failure is not None:
                self.plan.attempts.append((self.claim.ids[index], failure))
        for chunk_id in self.known if self.final else list(self.plan.progress):
            self._chunk(self.chunks[chunk_id])
        return self.plan

    def _touch(self, chunk: ClaimedChunk) -> Progress:
        found = self.plan.progress.get(chunk.id)
        if found is None:
            found = self.plan.progress[chunk.id] = self.known[chunk.id].copy()
        return found

    def _succeed(self) -> None:
        """Count the successes by chunk. Their bits wait until it is known which chunks go on and need them."""
        claim, done, values = self.claim, self.ended.succeeded, self.ended.values
        for place, count in Counter(map(claim.places.__getitem__, done)).items():
            self._touch(claim.chunks[place - 1]).succeeded += count
        self.plan.counts.succeeded += len(done)
        if any(chunk.has_keys for chunk in claim.chunks):
            self.plan.freed += [claim.ids[index] for index in done if claim.chunk_of(index).has_keys]
        if values:
            self.plan.results += [(claim.ids[index], values[index]) for index in done if index in values]

    def _set_bits(self, chunk: ClaimedChunk, progress: Progress) -> None:
        if not self.successes:
            for index in self.ended.succeeded:
                self.successes[self.claim.chunk_of(index).id].append(self.claim.ids[index])
        jobs = self.successes.get(chunk.id, [])
        if jobs and progress.ended is None:
            progress.ended = bytearray((chunk.born + 7) // 8)
        for place in map(chunk.place, jobs):
            assert progress.ended is not None
            progress.ended[place >> 3] |= 1 << (place & 7)

    def _exception(self, index: int, end: Failure | Outcome) -> None:
        chunk, counts = self.claim.chunk_of(index), self.plan.counts
        if isinstance(end, Failure):
            self.plan.attempts.append((self.claim.ids[index], end))
            counts.failed += 1
            reason = self.deaths.get(index)
            if reason is not None:
                self._die(index, chunk, end, reason)
            elif chunk.batch_id in self.stopping:
                self._cancel(index, chunk, burn=1)
            else:
                counts.retried += 1
                self._retry(index, chunk, solo=end.kind == AttemptKind.LOST)
        elif isinstance(end, Snooze) and chunk.batch_id not in self.stopping:
            until = end.until if isinstance(end.until, datetime) else None
            delay = SHORTEST_SNOOZE if until else max(SHORTEST_SNOOZE, float(end.until))  # type: ignore[arg-type]
            counts.returned += 1
            self._leave(index, chunk, ChunkState.READY, HeldWhy.NONE, delay, until, burn=0)
        elif isinstance(end, Return) and chunk.batch_id not in self.stopping:
            counts.returned += 1
            self._leave(index, chunk, ChunkState.READY, HeldWhy.NONE, end.delay, None, burn=0)
        elif isinstance(end, (Snooze, Return, Cancel)):
            self._cancel(index, chunk, burn=0)
        else:  # pragma: no cover - the runner turns all other outcomes into these
            raise TypeError(f"no settlement for {end!r}")

    def _die(self, index: int, chunk: ClaimedChunk, failure: Failure, reason: DeadReason) -> None:
        self.plan.counts.dead += 1
        self.plan.dead.append(Dead(self.claim.ids[index], chunk.batch_id, failure, reason))
        self._leave(index, chunk, ChunkState.PARKED, HeldWhy.DEAD, 0.0, None, burn=1)

    def _retry(self, index: int, chunk: ClaimedChunk, *, solo: bool) -> None:
        failures = self.claim.failures[index] + 1
        key = ("retry", chunk.batch_id, chunk.priority, failures, solo)
        group = self.groups.get(key)
        # One delay for a whole retry chunk: as many rows as chunks, not as jobs.
        if group is None or len(self.plan.new_chunks[group].job_ids) >= self.claim.policy.chunk_size:
            delay = backoff_of(self.claim.policy).delay(failures, self.uniform())
            group = self._group(key, chunk, ChunkState.READY, HeldWhy.NONE, delay, None)
            self.plan.new_chunks[group].solo = solo
        self._join(index, chunk, group, burn=1)

    def _leave(
        self,
        index: int,
        chunk: ClaimedChunk,
        state: ChunkState,
        why: HeldWhy,
        delay: float,
        until: datetime | None,
        *,
        burn: int,
    ) -> None:
        again = state is ChunkState.READY and self.claim.failures[index] > 0
        key = (state, why, chunk.batch_id, chunk.priority, delay, until, again)
        group = self.groups.get(key)
        if group is None:
            group = self._group(key, chunk, state, why, delay, until)
            self.plan.new_chunks[group].again = again
        self._join(index, chunk, group, burn=burn)

    def _group(
        self,
        key: tuple[object, ...],
        chunk: ClaimedChunk,
        state: ChunkState,
        why: HeldWhy,
        delay: float,
        until: datetime | None,
    ) -> int:
        self.plan.new_chunks.append(NewChunk(chunk.batch_id, chunk.priority, state, why, delay, until, chunk.has_keys))
        self.groups[key] = len(self.plan.new_chunks) - 1
        return self.groups[key]

    def _join(self, index: int, chunk: ClaimedChunk, group: int, *, burn: int) -> None:
        job = self.claim.ids[index]
        new = self.plan.new_chunks[group]
        new.job_ids.append(job)
        new.bytes += chunk.bytes // max(chunk.size, 1)
        new.has_keys = new.has_keys or chunk.has_keys
        self.plan.moves.append(Move(job, chunk.id, group, burn, None))
        self._touch(chunk).size -= 1
        self.gone[chunk.id] += 1

    def _cancel(self, index: int, chunk: ClaimedChunk, *, burn: int) -> None:
        job = self.claim.ids[index]
        self.plan.counts.cancelled += 1
        self.plan.moves.append(Move(job, chunk.id, None, burn, OwnState.CANCELLED))
        self._touch(chunk).cancelled += 1
        self.cancelled[chunk.id] += 1
        if chunk.has_keys:
            self.plan.freed.append(job)

    def _chunk(self, chunk: ClaimedChunk) -> None:
        progress = self._touch(chunk)
        if progress.open:
            self._set_bits(chunk, progress)
        state, tried, delay = ChunkState.LEASED, 0, None
        if progress.open == 0:
            state, progress.ended = ChunkState.DONE, None
        elif self.final and chunk.batch_id in self.stopping:
            state = ChunkState.CANCELLED
            self.plan.counts.cancelled += progress.open
        elif self.final:
            state = ChunkState.READY
            self.plan.counts.returned += progress.open
            if self.ended.put_back:
                tried = -chunk.tries if self.ended.fresh else 1
                delay = backoff_of(self.claim.policy).delay(chunk.tries + 1, self.uniform())
        ended = bytes(progress.ended) if progress.ended is not None else None
        self.plan.updates.append(
            ChunkUpdate(
                chunk.id,
                self.gone[chunk.id],
                progress.succeeded,
                self.cancelled[chunk.id],
                ended,
                state,
                tried,
                delay,
            )
        )


def backoff_of(policy: Policy) -> Backoff:
    """The queue's retry delays."""
    return Backoff(policy.backoff, policy.backoff_base, policy.backoff_cap, policy.jitter)
