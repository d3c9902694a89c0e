"""Whether a batch may be deleted: nothing of it runs or waits, none waits for it, and its next step has been made."""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from queues.domain.stages import fits
from queues.domain.states import BatchState, ChunkState, HeldWhy
from queues.models import Batch, BatchLink, Chunk, Job, Queue
from queues.services import stages
from queues.services.stop import families

# The job that makes the next step is written by the transaction that ends the batch, right after the time of that end;
# its chunk keeps that age through retries and death. So it is found by an index, however much else waits.
WRITTEN_WITHIN = timedelta(minutes=1)


def why_not(batch: Batch, members: list[Batch]) -> str:
    """Why a batch cannot be deleted; nothing where it can. The caller holds it with its parts, `members`."""
    if batch.parent_id is not None:
        return f"batch {batch.pk} is a part: delete its parent {batch.parent_id}"
    if any(member.state == BatchState.RUNNING for member in members):
        return f"batch {batch.pk} still has jobs that run or wait: cancel it first"
    return _waited_for(batch, members) or _owes_a_step(batch)


def doubtful(batches: Collection[int]) -> set[int]:
    """Those of many batches against whose deletion something may stand; the others need not be looked at one by one."""
    followed = BatchLink.objects.filter(after__state=BatchState.RUNNING)
    pairs = followed.filter(Q(before__in=batches) | Q(before__parent__in=batches))
    found = {number for pair in pairs.values_list("before_id", "before__parent_id") for number in pair}
    going = Batch.objects.filter(parent__in=batches, state=BatchState.RUNNING)
    steps = Batch.objects.filter(pk__in=batches).exclude(then_handler="")
    found |= {*going.values_list("parent_id", flat=True), *steps.values_list("pk", flat=True)}
    return {number for number in found if number in set(batches)}


def _waited_for(batch: Batch, members: list[Batch]) -> str:
    """The jobs of a batch that waits may be in its parts."""
    followers = BatchLink.objects.filter(before__in=members, after__state=BatchState.RUNNING)
    waiting = Chunk.objects.filter(state=ChunkState.HELD, held_why=HeldWhy.STAGE)
    for follower in followers.order_by("after").values_list("after", flat=True):
        if waiting.filter(batch__in=families(batches=[follower])).exists():
            return f"batch {follower} waits for batch {batch.pk}"
    return ""


def _owes_a_step(batch: Batch) -> str:
    """Whether the batch of its results is still to be made: that needs the results, and would be lost with them."""
    if not batch.then_handler or batch.finished_at is None or not fits(batch.after_policy, batch.state):
        return ""
    if Batch.objects.filter(idempotency_key=stages.step_key(batch.pk)).exists():
        return ""
    for chunk in making(batch.finished_at):
        for job, payload in _jobs(chunk):
            if payload == {"batch": batch.pk}:
                return _by(batch, job, dead=chunk.state == ChunkState.PARKED)
    return ""


def making(ended: datetime) -> list[Chunk]:
    """The unfinished chunks with jobs that make steps, written when the batch ended, in whatever queue they are now."""
    written = Chunk.objects.filter(created_at__gte=ended, created_at__lt=ended + WRITTEN_WITHIN)
    unfinished = written.exclude(state__in=(ChunkState.DONE, ChunkState.CANCELLED)).exclude(held_why=HeldWhy.TRASHED)
    queues = list(Queue.objects.values_list("pk", flat=True))
    return list(unfinished.filter(queue__in=queues, handler=stages.MAKE_STEP))


def _jobs(chunk: Chunk) -> list[tuple[int, Any]]:
    born = chunk.job_ids or range(chunk.first_id or 0, (chunk.first_id or 0) + (chunk.span or 0))
    rows = Job.objects.filter(pk__in=born, chunk=chunk.pk, own_state=None)
    return [(job, json.loads(payload)) for job, payload in rows.values_list("pk", "payload")]


def _by(batch: Batch, job: int, *, dead: bool) -> str:
    step = f"the batch that {batch.then_handler} gets of the results of batch {batch.pk}"
    if dead:
        return f"{step} could not be made: retry or delete dead letter {job} first"
    return f"{step} is still to be made, by job {job}: wait for it, or cancel that job first"
