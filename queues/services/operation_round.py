"""One round of an operation: some of its jobs, in the lock order batch, chunk, job.

What cannot be done with a job is an outcome as well. Jobs of a leased chunk, or of one that changed hands while the
locks were taken, get none: the operation comes back to them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db.models import F, TextField
from django.db.models.functions import Cast, Length

from queues import store
from queues.domain.operating import (
    ADDING,
    DEEDS,
    DIED_LATER,
    GONE,
    KEY_TAKEN,
    NO_BATCH,
    SAME,
    STOPPING,
    UNSTARTED,
    Action,
    why_not,
)
from queues.domain.states import BatchState, ChunkState, HeldWhy, JobState
from queues.models import Batch, Chunk, DeadLetter, Job, JobKey, Operation
from queues.selectors.clock import database_now
from queues.services import announce, stages, trash
from queues.services.reopen import reopen

DONE = frozenset(deed.past for deed in DEEDS.values())
_RETRY = (Action.RETRY, Action.RETRY_DEAD)
_DELETE = (Action.DELETE, Action.DELETE_DEAD)


class MovedAway(RuntimeError):
    """A job of a held chunk was not where it must be: a broken invariant, nothing was written."""


@dataclass(slots=True)
class Subject:
    """A job that can be changed, with the chunk that the round holds."""

    id: int
    chunk: Chunk
    state: JobState
    bytes: int
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """Jobs that go into one new chunk."""

    queue: int
    batch: int | None
    handler: str
    priority: int
    state: ChunkState
    why: str
    run_at: datetime | None = None
    solo: bool = False
    losses: int = 0
    tries: int = 0
    again: bool = True


@dataclass(slots=True)
class Round:
    """Some jobs of an operation. `make` changes what can be changed, within the caller's transaction."""

    operation: Operation
    jobs: list[int]
    outcomes: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    batches: dict[int, Batch] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)

    @property
    def action(self) -> Action:
        """What is done."""
        return Action(self.operation.action)

    def make(self) -> dict[str, list[int]]:
        """The jobs by outcome; those without one are to be tried again."""
        self._lock_batches()
        seen = set(Job.objects.filter(pk__in=self.jobs).values_list("chunk_id", flat=True))
        chunks = Chunk.objects.select_for_update(no_key=True).filter(pk__in=seen).order_by("pk").defer("ended")
        subjects = self._judge({chunk.pk: chunk for chunk in chunks})
        subjects = self._take_keys(subjects)
        if subjects:
            self._change(subjects)
            self.outcomes[DEEDS[self.action].past] += [subject.id for subject in subjects]
        return self.outcomes

    def _lock_batches(self) -> None:
        numbers = set(Job.objects.filter(pk__in=self.jobs, batch__isnull=False).values_list("batch_id", flat=True))
        parents = Batch.objects.filter(pk__in=numbers, parent__isnull=False).values_list("parent_id", flat=True)
        wanted = numbers | {parent for parent in parents if parent is not None}
        locked = Batch.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wanted).order_by("pk")
        self.batches = {batch.pk: batch for batch in locked}

    def _judge(self, chunks: dict[int, Chunk]) -> list[Subject]:
        """Who can be changed, read anew now that the chunks are held."""
        rows = Job.objects.filter(pk__in=self.jobs).annotate(bytes=Length(Cast("payload", TextField())))
        jobs = {job: (chunk, size) for job, chunk, size in rows.values_list("pk", "chunk_id", "bytes")}
        states: dict[int, str] = dict(store.rows("job_state", jobs=self.jobs))
        later = self._died_later()
        subjects = []
        for number in self.jobs:
            if number not in jobs:
                gone = "no longer a dead letter" if DEEDS[self.action].possible == {JobState.DEAD} else GONE
                self.outcomes[gone].append(number)
                continue
            chunk, size = jobs[number]
            state = JobState(states[number])
            if chunk not in chunks or chunks[chunk].state == ChunkState.LEASED:
                # A leased chunk is its run's, whatever has become of this job in it.
                if state is JobState.SUCCEEDED:
                    self.outcomes[why_not(self.action, state)].append(number)
                continue
            died_later = DIED_LATER if state is JobState.DEAD and number in later else ""
            why = why_not(self.action, state) or died_later or self._refused(chunks[chunk])
            if why:
                self.outcomes[why].append(number)
            else:
                subjects.append(Subject(number, chunks[chunk], state, size))
        return subjects

    def _died_later(self) -> set[int]:
        """Dead letters of deaths that nobody had seen who asked: others have had them run again meanwhile, perhaps."""
        asked = self.operation.selection.get("until")
        bound = datetime.fromisoformat(asked) if asked else self.operation.created_at
        return set(DeadLetter.objects.filter(pk__in=self.jobs, died_at__gt=bound).values_list("pk", flat=True))

    def _refused(self, chunk: Chunk) -> str:
        batch = self.batches.get(chunk.batch_id) if chunk.batch_id else None
        if chunk.batch_id and batch is None:
            return NO_BATCH
        whole = self.batches.get(batch.parent_id) if batch and batch.parent_id else None
        # A part may have ended while its parent still stops.
        if self.action in ADDING and any(
            one.state == BatchState.RUNNING and one.stop_reason for one in (batch, whole) if one
        ):
            return STOPPING
        options = self.operation.options
        if self.action is Action.PRIORITY and chunk.priority == options["priority"]:
            return SAME
        return SAME if self.action is Action.QUEUE and chunk.queue_id == options["queue_id"] else ""

    def _take_keys(self, subjects: list[Subject]) -> list[Subject]:
        """Without those whose unique key somebody else has where they go."""
        numbers = [subject.id for subject in subjects]
        if self.action is Action.RESTORE:
            wanted = trash.keys_of(numbers)
        elif self.action is Action.QUEUE:
            target = self.operation.options["queue_id"]
            rows = JobKey.objects.filter(job_id__in=numbers).values_list("job_id", "key")
            wanted = {job: (target, key) for job, key in rows}
        else:
            return subjects
        if not wanted:
            return subjects
        queues, keys = zip(*wanted.values(), strict=True)
        taken = store.rows("operate_take_keys", queues=list(queues), keys=list(keys), jobs=list(wanted))
        free = {job for (job,) in taken}
        self.outcomes[KEY_TAKEN] += sorted(wanted.keys() - free)
        if self.action is Action.QUEUE:
            target = self.operation.options["queue_id"]
            JobKey.objects.filter(job_id__in=free).exclude(queue_id=target).delete()
        if not self.outcomes[KEY_TAKEN]:
            del self.outcomes[KEY_TAKEN]
        return [subject for subject in subjects if subject.id not in wanted or subject.id in free]

    def _change(self, subjects: list[Subject]) -> None:
        numbers = [subject.id for subject in subjects]
        if self.action is Action.CANCEL:
            self._cancel(subjects)
            return
        if self.action in _DELETE:
            trash.remember(operation=self.operation, subjects=[(s.id, s.chunk, s.state) for s in subjects])
        was = trash.forget(numbers) if self.action in (Action.RESTORE, Action.EMPTY) else {}
        lanes: defaultdict[Lane, list[Subject]] = defaultdict(list)
        for subject in subjects:
            subject.afresh = self.action in _RETRY and subject.state in (JobState.DEAD, JobState.CANCELLED)
            lanes[self._lane(subject, was)].append(subject)
        made = self._move(lanes)
        if self.action is Action.EMPTY:
            store.run("end_trash", chunks=made)
        self._letters(subjects, was)
        self._batches(lanes)

    def _lane(self, subject: Subject, was: dict[int, Any]) -> Lane:
        """Where a job goes."""
        chunk, action = subject.chunk, self.action
        queue, batch, handler, priority = chunk.queue_id, chunk.batch_id, chunk.handler, chunk.priority
        if action in _DELETE or action is Action.EMPTY:
            return Lane(queue, batch, handler, priority, ChunkState.PARKED, HeldWhy.TRASHED)
        if action is Action.RESTORE:
            old = was.get(subject.id)
            if old is not None and old.was == JobState.DEAD:
                return Lane(queue, batch, handler, priority, ChunkState.PARKED, HeldWhy.DEAD)
            held = self._held(batch, waited=old is not None and old.was == JobState.HELD)
            run_at = None if old is None else old.run_at
            return Lane(queue, batch, handler, priority, *held, run_at=run_at, again=False)
        if action in _RETRY:
            return Lane(queue, batch, handler, priority, *self._held(batch))
        if action is Action.PRIORITY:
            priority = self.operation.options["priority"]
        else:
            queue = self.operation.options["queue_id"]
        return Lane(
            queue, batch, handler, priority, ChunkState(chunk.state), chunk.held_why,
            chunk.run_at, chunk.solo, chunk.losses, chunk.tries, chunk.is_retry,
        )  # fmt: skip

    def _held(self, number: int | None, *, waited: bool = False) -> tuple[ChunkState, str]:
        """How unfinished work enters its batch: a batch that is held holds it too."""
        batch = self.batches.get(number) if number else None
        if batch is None:
            return ChunkState.READY, HeldWhy.NONE
        parent = self.batches.get(batch.parent_id) if batch.parent_id else None
        if batch.paused_at or (parent is not None and parent.paused_at):
            return ChunkState.HELD, HeldWhy.PAUSED
        if waited and batch.sealed_at is None:
            return ChunkState.HELD, HeldWhy.OPEN
        if waited and any(stages.waits(batch=member.pk) for member in (batch, parent) if member is not None):
            return ChunkState.HELD, HeldWhy.STAGE
        return ChunkState.READY, HeldWhy.NONE

    def _move(self, lanes: dict[Lane, list[Subject]]) -> list[int]:
        first = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(lanes))
        now = database_now()
        rows, moves = [], []
        for number, (lane, subjects) in enumerate(lanes.items(), first):
            rows.append(self._row(number, lane, subjects, now))
            moves += [(subject.id, subject.chunk.pk, number, subject.afresh) for subject in subjects]
        store.run("new_chunks", groups=orjson.dumps(rows).decode())
        moves.sort()
        jobs, old, new, afresh = (list(column) for column in zip(*moves, strict=True))
        moved = store.run("operate_move", jobs=jobs, old_chunks=old, new_chunks=new, afresh=afresh)
        if moved != len(moves):
            raise MovedAway(f"{len(moves) - moved} of {len(moves)} jobs were not in their chunks")
        subjects = [subject for group in lanes.values() for subject in group]
        self._leave(
            gone=Counter(subject.chunk.pk for subject in subjects),
            cancelled=Counter(s.chunk.pk for s in subjects if s.state is JobState.CANCELLED),
            sign=-1,
        )
        return [row["id"] for row in rows]

    def _row(self, number: int, lane: Lane, subjects: list[Subject], now: datetime) -> dict[str, Any]:
        return {
            "id": number,
            "queue": lane.queue,
            "batch": lane.batch,
            "handler": lane.handler,
            "priority": lane.priority,
            # Below zero for what is due already: it keeps its place in the line.
            "delay": (lane.run_at - now).total_seconds() if lane.run_at else 0.0,
            "state": lane.state,
            "held_why": lane.why,
            "bytes": sum(subject.bytes for subject in subjects),
            "job_ids": [subject.id for subject in subjects],
            "solo": lane.solo,
            "losses": lane.losses,
            "tries": lane.tries,
            "has_keys": True,
            "again": lane.again and lane.state != ChunkState.PARKED,
            "run": None,
            # The age of a deleted one is how long it has been in the trash.
            "origins": [] if lane.why == HeldWhy.TRASHED else sorted({subject.chunk.pk for subject in subjects}),
        }

    def _cancel(self, subjects: list[Subject]) -> None:
        jobs = [subject.id for subject in subjects]
        done = store.run("operate_cancel", jobs=jobs, chunks=[subject.chunk.pk for subject in subjects])
        if done != len(jobs):
            raise MovedAway(f"{len(jobs) - done} of {len(jobs)} jobs were not in their chunks")
        self._leave(gone=Counter(), cancelled=Counter(subject.chunk.pk for subject in subjects))
        store.run("free_keys", jobs=jobs)
        self.touched |= {subject.chunk.batch_id for subject in subjects if subject.chunk.batch_id}

    def _leave(self, *, gone: "Counter[int]", cancelled: "Counter[int]", sign: int = 1) -> None:
        chunks = sorted({*gone, *cancelled})
        store.run(
            "operate_leave",
            chunks=chunks,
            gone=[gone[chunk] for chunk in chunks],
            cancelled=[sign * cancelled[chunk] for chunk in chunks],
        )

    def _letters(self, subjects: list[Subject], was: dict[int, Any]) -> None:
        numbers = [subject.id for subject in subjects]
        if self.action in _RETRY or self.action in _DELETE:
            trash.drop_letters(numbers)
        if self.action in _DELETE:
            JobKey.objects.filter(job_id__in=numbers).delete()
        if self.action is Action.RESTORE:
            trash.write_letters(was.values())

    def _batches(self, lanes: dict[Lane, list[Subject]]) -> None:
        """Batches that get work run again; frozen counters follow what has gone or come back; queues are hinted."""
        working = [lane for lane in lanes if lane.state != ChunkState.PARKED]
        if self.action in (*_RETRY, Action.RESTORE):
            numbers = {lane.batch for lane in working if lane.batch is not None}
            asker = self.operation
            who = {"actor": asker.actor, "source": asker.source, "reason": asker.reason}
            reopen(batches=numbers | self._parents(numbers), **who)
        for queue in sorted({lane.queue for lane in working}):
            announce.announce(queue_id=queue)
        if self.action in _DELETE:
            self._count(lanes, -1)
            self.touched |= {
                lane.batch for lane, group in lanes.items() if lane.batch and any(s.state in UNSTARTED for s in group)
            }
        elif self.action is Action.RESTORE:
            self._count({lane: group for lane, group in lanes.items() if lane.why == HeldWhy.DEAD}, 1)

    def _parents(self, numbers: Iterable[int]) -> set[int]:
        return {parent for n in numbers if (parent := self.batches[n].parent_id) is not None}

    def _count(self, lanes: dict[Lane, list[Subject]], sign: int) -> None:
        """Keep the frozen counters of ended batches, and of their parents, in step with their dead letters."""
        dead: Counter[int] = Counter()
        for lane, subjects in lanes.items():
            letters = sum(subject.state in (JobState.DEAD, JobState.TRASHED) for subject in subjects)
            if lane.batch is not None:
                for number in {lane.batch, *self._parents([lane.batch])}:
                    dead[number] += letters
        for number, count in sorted(dead.items()):
            Batch.objects.filter(pk=number, dead__isnull=False).update(dead=F("dead") + sign * count)
