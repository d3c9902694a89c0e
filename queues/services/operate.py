"""Bulk commands of a person, run in bounded rounds.

The selection is frozen when the operation starts: one row for each job. A round changes some of them and marks
them in the same transaction, so it can be repeated by anybody after a crash, and nothing is done twice.
"""

from collections import defaultdict
from typing import Any

import orjson
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from queues import store
from queues.domain.states import BatchState, ChunkState, HeldWhy
from queues.models import Batch, Chunk, DeadLetter, Job, JobKey, Operation, OperationItem
from queues.services import announce, audit
from queues.services.reopen import reopen

ROUND = 500
# Selections up to this size are worked off by the caller, larger ones in the background.
AT_ONCE = 1_000
ACTIONS = {"retry_dead": "retry dead letters", "delete_dead": "delete dead letters"}


class OperationRefused(ValueError):
    """The operation cannot be started: the message says why."""


def matching(selection: dict[str, Any]) -> QuerySet[DeadLetter]:
    """The dead letters that a selection means. Raises `OperationRefused` for an unusable one.

    Either `job_ids`, or `{"all": True}`, or any of `batch` (with its parts), `queue` (a name) and
    `fingerprint`, all of which must match.
    """
    letters = DeadLetter.objects.all()
    if selection == {"all": True}:
        return letters
    known = {"job_ids", "batch", "queue", "fingerprint"}
    if "job_ids" in selection and not selection["job_ids"]:
        raise OperationRefused("no job is named")
    if not selection or set(selection) - known or ("job_ids" in selection and len(selection) > 1):
        raise OperationRefused("a selection has job_ids, or all, or some of batch, queue and fingerprint")
    try:
        if "job_ids" in selection:
            return letters.filter(job_id__in=[int(job) for job in selection["job_ids"]])
        if "batch" in selection:
            batch = int(selection["batch"])
            parts = list(Batch.objects.filter(parent_id=batch).values_list("pk", flat=True))
            letters = letters.filter(batch_id__in=[batch, *parts])
    except (TypeError, ValueError):
        raise OperationRefused("job_ids and batch are numbers") from None
    if any("\0" in str(selection.get(name, "")) for name in ("queue", "fingerprint")):
        raise OperationRefused("queue and fingerprint are text without NUL")
    if "queue" in selection:
        letters = letters.filter(queue__name=selection["queue"])
    if "fingerprint" in selection:
        letters = letters.filter(fingerprint=selection["fingerprint"])
    return letters


def start(*, action: str, selection: dict[str, Any], actor: str, source: str, reason: str = "") -> Operation:
    """Freeze a selection of dead letters and begin to retry or delete them.

    Up to 1,000 are worked off before this returns; more in the background. Raises `OperationRefused`.
    """
    if action not in ACTIONS:
        raise OperationRefused(f"unknown action {action!r}")
    letters = matching(selection)
    with transaction.atomic():
        operation = Operation.objects.create(
            action=action, selection=selection, actor=actor[:150], source=source, reason=reason[:300]
        )
        total = store.freeze(operation.pk, letters.values("job_id"))
        if not total:
            raise OperationRefused("no dead letter matches")
        Operation.objects.filter(pk=operation.pk).update(total=total)
        audit.record(
            actor=actor,
            source=source,
            action=ACTIONS[action],
            target=_target(selection),
            reason=reason,
            operation=operation.pk,
            jobs=total,
        )
    while total <= AT_ONCE and advance(operation_id=operation.pk):
        pass
    operation.refresh_from_db()
    return operation


def _target(selection: dict[str, Any]) -> str:
    jobs = selection.get("job_ids")
    if jobs is not None:
        return f"job {jobs[0]}" if len(jobs) == 1 else f"{len(jobs)} jobs"
    return ", ".join(f"{name} {value}" for name, value in sorted(selection.items()))


def advance_all() -> int:
    """Go on with every running operation, round by round; returns the rounds made."""
    rounds = 0
    for operation in Operation.objects.filter(state="running").order_by("pk").values_list("pk", flat=True):
        while advance(operation_id=operation):
            rounds += 1
    return rounds


def cancel_operation(*, operation_id: int) -> bool:
    """Stop an operation after its present round; what it has done stays done."""
    return bool(
        Operation.objects.filter(pk=operation_id, state="running").update(state="cancelled", finished_at=timezone.now())
    )


def advance(*, operation_id: int) -> bool:
    """Do one round of an operation; whether there is more to do for this caller."""
    return store.repeated(lambda: _advance(operation_id))


def _advance(operation_id: int) -> bool:
    with transaction.atomic():
        operation = (
            Operation.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=operation_id, state="running")
            .first()
        )
        if operation is None:
            return False
        items = OperationItem.objects.filter(operation_id=operation_id, outcome="").order_by("job_id")
        jobs = list(items.values_list("job_id", flat=True)[:ROUND])
        if not jobs:
            operation.state, operation.finished_at = "done", timezone.now()
            operation.save(update_fields=["state", "finished_at"])
            return False
        outcomes = _Round(operation.action, jobs).make()
        for outcome, done in outcomes.items():
            OperationItem.objects.filter(operation_id=operation_id, job_id__in=done).update(outcome=outcome)
            changed = outcome in ("retried", "deleted")
            operation.changed += len(done) if changed else 0
            operation.skipped += 0 if changed else len(done)
        operation.save(update_fields=["changed", "skipped"])
        return True


class _Round:
    """One round over some dead letters, in the lock order batch, chunk, job."""

    def __init__(self, action: str, jobs: list[int]) -> None:
        self.action = action
        self.jobs = jobs
        self.outcomes: defaultdict[str, list[int]] = defaultdict(list)

    def make(self) -> dict[str, list[int]]:
        """Change what can be changed; the jobs by outcome."""
        seen = dict(Job.objects.filter(pk__in=self.jobs).values_list("pk", "chunk_id"))
        batches = self._lock_batches()
        chunks = {
            chunk.pk: chunk
            for chunk in Chunk.objects.select_for_update(no_key=True).filter(pk__in=set(seen.values())).order_by("pk")
        }
        letters = set(DeadLetter.objects.filter(pk__in=self.jobs).values_list("pk", flat=True))
        jobs = {job.pk: job for job in Job.objects.filter(pk__in=self.jobs).order_by("pk")}
        groups: defaultdict[tuple[int, int | None, str, int], list[Job]] = defaultdict(list)
        for number in self.jobs:
            job = jobs.get(number)
            chunk = chunks.get(job.chunk_id) if job else None
            why = self._why_not(number in letters, chunk, batches)
            if job is None or chunk is None or why:
                self.outcomes[why or "not there any more"].append(number)
            else:
                groups[(chunk.queue_id, chunk.batch_id, chunk.handler, chunk.priority)].append(job)
        self._change(groups, batches)
        return self.outcomes

    def _lock_batches(self) -> dict[int, Batch]:
        letters = DeadLetter.objects.filter(pk__in=self.jobs)
        numbers = set(letters.exclude(batch=None).values_list("batch_id", flat=True))
        parents = Batch.objects.filter(pk__in=numbers, parent__isnull=False).values_list("parent_id", flat=True)
        locked = (
            Batch.objects.select_for_update(no_key=True)
            .filter(pk__in=numbers | {parent for parent in parents if parent is not None})
            .order_by("pk")
        )
        return {batch.pk: batch for batch in locked}

    def _why_not(self, dead: bool, chunk: Chunk | None, batches: dict[int, Batch]) -> str:
        if not dead or chunk is None or (chunk.state, chunk.held_why) != (ChunkState.PARKED, HeldWhy.DEAD):
            return "no longer a dead letter"
        batch = batches.get(chunk.batch_id) if chunk.batch_id else None
        if chunk.batch_id and batch is None:
            return "its batch is not there any more"
        if batch and batch.state == BatchState.RUNNING and batch.stop_reason and self.action == "retry_dead":
            return "its batch is stopping"
        return ""

    def _change(self, groups: dict[tuple[int, int | None, str, int], list[Job]], batches: dict[int, Batch]) -> None:
        changed = [job for jobs in groups.values() for job in jobs]
        if not changed:
            return
        retry = self.action == "retry_dead"
        targets = self._new_chunks(groups, retry=retry)
        numbers = [job.pk for job in changed]
        store.run(
            "move_jobs",
            jobs=numbers,
            old_chunks=[job.chunk_id for job in changed],
            new_chunks=[targets[job.pk] for job in changed],
            burns=[-job.failures if retry else 0 for job in changed],
            owns=[None] * len(changed),
        )
        left: defaultdict[int, int] = defaultdict(int)
        for job in changed:
            left[job.chunk_id] += 1
        for chunk, gone in sorted(left.items()):
            store.run("shrink_chunk", chunk=chunk, gone=gone)
        store.run("end_empty_chunks", chunks=sorted(left))
        DeadLetter.objects.filter(pk__in=numbers).delete()
        if retry:
            self._reopen({group[1] for group in groups}, batches)
            for queue in sorted({group[0] for group in groups}):
                announce.announce(queue_id=queue)
        else:
            JobKey.objects.filter(job_id__in=numbers).delete()
            self._count_out(groups, batches)
        self.outcomes["retried" if retry else "deleted"] += numbers

    def _count_out(self, groups: dict[tuple[int, int | None, str, int], list[Job]], batches: dict[int, Batch]) -> None:
        """Keep the frozen counters of ended batches, and of their parents, in step with what was deleted."""
        gone: defaultdict[int, int] = defaultdict(int)
        for (_queue, batch, _handler, _priority), jobs in groups.items():
            if batch is not None:
                gone[batch] += len(jobs)
                if (parent := batches[batch].parent_id) is not None:
                    gone[parent] += len(jobs)
        for batch, count in sorted(gone.items()):
            Batch.objects.filter(pk=batch, dead__isnull=False).update(dead=F("dead") - count)

    def _new_chunks(self, groups: dict[tuple[int, int | None, str, int], list[Job]], *, retry: bool) -> dict[int, int]:
        first = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(groups))
        targets: dict[int, int] = {}
        rows = []
        for number, ((queue, batch, handler, priority), jobs) in enumerate(groups.items(), first):
            targets.update({job.pk: number for job in jobs})
            rows.append(
                {
                    "id": number,
                    "queue": queue,
                    "batch": batch,
                    "handler": handler,
                    "priority": priority,
                    "delay": 0.0,
                    "state": ChunkState.READY if retry else ChunkState.PARKED,
                    "held_why": HeldWhy.NONE if retry else HeldWhy.TRASHED,
                    "bytes": sum(len(job.payload) for job in jobs),
                    "job_ids": [job.pk for job in jobs],
                    "solo": False,
                    "losses": 0,
                    "tries": 0,
                    "has_keys": True,
                    "run": None,
                }
            )
        store.run("new_chunks", groups=orjson.dumps(rows).decode())
        return targets

    def _reopen(self, numbers: set[int | None], batches: dict[int, Batch]) -> None:
        reopened = {number for number in numbers if number is not None}
        reopened |= {b.parent_id for n, b in batches.items() if n in reopened and b.parent_id is not None}
        reopen(batches=reopened)
