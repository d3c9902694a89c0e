"""Linking batches that exist: one shall wait for the other."""

from queues import store
from queues.domain.stages import DEEPEST, fits, path
from queues.domain.states import ChunkState, HeldWhy
from queues.models import Batch, BatchLink, Chunk, batch_id
from queues.services import audit

# Batches behind one that are looked at for a circle.
MOST_BEHIND = 10_000


class LinkRefused(ValueError):
    """The batches cannot be linked: the message says why. Nothing was changed."""


def link(before: Batch | int, after: Batch | int, *, actor: str = "", source: str = "api", reason: str = "") -> None:
    """Let `after`, of which no job has started yet, wait for the end of `before`.

    Raises `LinkRefused`, with nothing changed: for a circle, for a part, for a batch that has started or ended, and
    when `before` has already ended in another way than `after` wants.
    """
    first, second = _number(before), _number(after)
    if first == second:
        raise LinkRefused(f"batch {first} cannot wait for itself")

    def work() -> None:
        with store.atomic():
            store.rows("lock_links")
            behind = _behind(first, second)
            _hold(first, second, behind)
            if not BatchLink.objects.filter(before=first, after=second).exists():
                _link(first, second)
                _raise_stages(first, second)
                target = f"batch {first} before batch {second}"
                audit.record(actor=actor, source=source, action="link batches", target=target, reason=reason)

    store.repeated(work)


def _number(batch: Batch | int) -> int:
    try:
        return batch_id(batch)
    except TypeError as error:
        raise LinkRefused(str(error)) from None


def _behind(first: int, second: int) -> set[int]:
    """The batches behind the second. Raises `LinkRefused` when the first is among them."""
    came_from: dict[int, int] = {}
    level = {second}
    while level:
        rows = BatchLink.objects.filter(before__in=level).order_by("before_id", "after_id")
        level = set()
        for before, after in rows.values_list("before_id", "after_id"):
            if after not in came_from:
                came_from[after] = before
                level.add(after)
        if first in came_from:
            circle = " -> ".join(f"batch {number}" for number in [first, *path(second, first, came_from)])
            raise LinkRefused(f"that would be a circle: {circle}")
        if len(came_from) > MOST_BEHIND:
            raise LinkRefused(f"more than {MOST_BEHIND:,} batches come after batch {second}")
    return set(came_from)


def _hold(first: int, second: int, behind: set[int]) -> None:
    """Lock both batches, the parts of the second, and all that come later; check what can be said of the two."""
    named = {first, second, *behind}
    parts = Batch.objects.filter(parent__in={second, *behind}).values_list("pk", flat=True)
    store.rows("lock_batches", batches=sorted({*named, *parts}))
    found = Batch.objects.in_bulk([first, second])
    for number in (first, second):
        if number not in found:
            raise LinkRefused(f"unknown batch {number}")
        if found[number].parent_id is not None:
            raise LinkRefused(f"batch {number} is a part; link batch {found[number].parent_id}")
    after, before = found[second], found[first]
    if after.state != "running" or after.stop_reason:
        raise LinkRefused(f"batch {second} is {'stopping' if after.state == 'running' else after.state}")
    if before.state != "running" and not fits(after.after_policy, before.state):
        raise LinkRefused(f"batch {first} has ended as {before.state}; batch {second} wants {after.after_policy}")


def _link(first: int, second: int) -> None:
    members = [second, *Batch.objects.filter(parent=second).values_list("pk", flat=True)]
    chunks = Chunk.objects.filter(batch__in=members)
    if Batch.objects.filter(pk__in=members, started_at__isnull=False).exists():
        raise LinkRefused(f"batch {second} has already started")
    if Batch.objects.filter(pk=first, state="running").exists():
        store.run("hold_stage", batch=second, state=ChunkState.READY.value, why=HeldWhy.NONE.value)
        store.run("hold_stage", batch=second, state=ChunkState.HELD.value, why=HeldWhy.PAUSED.value)
        if chunks.exclude(state=ChunkState.HELD).exists():
            raise LinkRefused(f"batch {second} has already started")
    store.run("insert_links", before=[first], after=second)


def _raise_stages(first: int, second: int) -> None:
    """Each batch's stage is one more than the highest before it; all of them are locked."""
    due = [(first, second)]
    stages = dict(Batch.objects.filter(pk=first).values_list("pk", "stage"))
    while due:
        before, after = due.pop()
        stage = stages[before] + 1
        if stage > DEEPEST:
            raise LinkRefused(f"batch {after} would be stage {stage:,}; at most {DEEPEST:,} follow each other")
        if store.run("raise_stage", batch=after, stage=stage):
            stages[after] = stage
            due += BatchLink.objects.filter(before=after).values_list("before_id", "after_id")
