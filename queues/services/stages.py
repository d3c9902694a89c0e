"""Batches that wait for others, as a graph without circles.

A waiting batch's chunks are held. The transaction that ends the last of the batches before it also makes them
ready, or stops them when that end was not the wanted one. Two ends at the same moment meet at the lock of the batch
that waits: whoever gets it second sees both. Locks are taken as everywhere: batches by id, then chunks by id.
"""

from collections.abc import Collection, Iterable, Sequence

from queues import store
from queues.domain.stages import DEEPEST, Verdict, verdict
from queues.domain.states import AfterPolicy, StopReason
from queues.models import Batch, Queue
from queues.services import announce
from queues.services.feed import EnqueueError
from queues.services.stop import families, stop_locked

# Batches that one batch may wait for, named at once.
MOST_BEFORE = 1_000
# The handler that makes a batch of another one's results; `queues.builtin` declares it.
MAKE_STEP = "queues.make_step"


def step_key(batch: int) -> str:
    """The idempotency key of the batch that is made of a batch's results: it is made once."""
    return f"step after batch {batch}"


class HoldFirst(Exception):
    """Batches have to be locked before those that the transaction already holds: begin again with them."""

    def __init__(self, batches: Collection[int]) -> None:
        super().__init__(batches)
        self.batches = set(batches)


def parse_after(after: object, policy: object) -> list[int]:
    """The ids of the batches to wait for. Raises `EnqueueError` naming the place."""
    if not isinstance(policy, str) or policy not in set(AfterPolicy):
        raise EnqueueError(f"after_policy: {policy!r} is not one of {', '.join(AfterPolicy)}")
    if isinstance(after, (Batch, int, str, bytes)) or not isinstance(after, Iterable):
        raise EnqueueError("after: a list of batches is needed")
    numbers = set()
    for place, item in enumerate(after):
        number = item.pk if isinstance(item, Batch) else item
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
            raise EnqueueError(f"after[{place}]: a batch or its id is needed, not {item!r:.60}")
        numbers.add(number)
    if len(numbers) > MOST_BEFORE:
        raise EnqueueError(f"after: {len(numbers):,} batches; at most {MOST_BEFORE:,} can be named")
    _stages_of(numbers)
    return sorted(numbers)


def check_then(*, queue_id: int, then_queue: int) -> None:
    """Whether a step can follow with the results of a queue. Raises `EnqueueError`."""
    queues = Queue.objects.in_bulk([queue_id, then_queue])
    source, target = queues[queue_id], queues[then_queue]
    if source.keep_results is None:
        raise EnqueueError(f"then: queue {source.name!r} keeps no results; set its keep_results (seconds)")
    if (target.flush_jobs or target.flush_bytes) and target.flush_seconds is None:
        raise EnqueueError(f"then: queue {target.name!r} may collect for ever; set its flush_seconds")


def follow(*, batch: int, before: Sequence[int]) -> None:
    """Link a new batch, whose chunks are held, to those before it, and judge at once how they stand.

    Those before it are not locked: no worker may have to wait for the end of its caller's transaction. One that ends
    meanwhile does not see the new link, so the batch is judged once more after the commit, or else by the sweep.
    """
    stage = 1 + max(_stages_of(before).values())
    if stage > DEEPEST:
        raise EnqueueError(f"after: the batch would be stage {stage:,}; at most {DEEPEST:,} follow each other")
    store.run("raise_stage", batch=batch, stage=stage)
    store.run("insert_links", before=list(before), after=batch)
    settled = judge(batches=[batch])
    store.on_commit(lambda: _after_commit(batch, before, settled))


def _after_commit(batch: int, before: Sequence[int], settled: list[int]) -> None:
    """Only a hurry: the sweep does what a dead process has not."""
    from queues.services.finish import finish

    finish(batches=settled or store.repeated(lambda: _judge_alone(batch, before)))


def _stages_of(numbers: Collection[int]) -> dict[int, int]:
    found = {row.pk: row for row in Batch.objects.filter(pk__in=numbers).only("id", "stage", "parent_id")}
    for number in sorted(numbers):
        if number not in found:
            raise EnqueueError(f"after: unknown batch {number}")
        if found[number].parent_id is not None:
            raise EnqueueError(f"after: batch {number} is a part; wait for batch {found[number].parent_id}")
    return {number: row.stage for number, row in found.items()}


def hold_followers(*, batch: int, held: Collection[int] = ()) -> list[int]:
    """Lock the batches that come after one which the caller holds, and their parts; returns their ids.

    Raises `HoldFirst` where that would be out of order.
    """
    found = [number for (number,) in store.rows("followers", batch=batch)]
    missing = sorted(set(found) - set(held))
    if missing and missing[0] < max([batch, *held]):
        raise HoldFirst(found)
    if missing:
        store.rows("lock_batches", batches=missing)
    return found


def judge(*, batches: Sequence[int]) -> list[int]:
    """Start or stop those of the held batches that need not wait any longer.

    Returns the batches that may have ended by it, for the caller to end once this is committed.
    """
    ended: list[int] = []
    if not batches:
        return ended
    for batch, queue, policy, states in store.rows("followers_standing", batches=list(batches)):
        found = verdict(policy, states)
        if found is Verdict.START:
            store.run("release_stage", batch=batch)
            announce.announce(queue_id=queue)
            ended.append(batch)
        elif found is Verdict.STOP:
            members = families(batches=[batch])
            stop_locked(batches=members, reason=StopReason.UPSTREAM)
            store.run("seal_stopped", batches=members)
            # Parts first, for a parent ends with its last part.
            ended += [member for member in members if member != batch] + [batch]
    return ended


def waits(*, batch: int) -> bool:
    """Whether a batch before this one still runs, or has not ended as it should."""
    return any(
        verdict(policy, states) is not Verdict.START
        for _batch, _queue, policy, states in store.rows("followers_standing", batches=[batch])
    )


def unseal(*, batch: int) -> None:
    """Let the chunks of a batch that was open get ready, or wait for those before it. The caller holds the batch."""
    if Batch.objects.filter(pk=batch, links_before__before__state="running").exists():
        store.run("hold_stage", batch=batch, state="held", why="open")
    else:
        store.run("release_held", batch=batch, why="open")


def sweep(*, limit: int = 200) -> list[int]:
    """Judge again the batches that wait for nobody; returns those that may have ended by it."""
    ended: list[int] = []
    after = 0
    while page := [batch for (batch,) in store.rows("stages_missed", after=after, limit=limit)]:
        for batch in page:
            ended += store.repeated(lambda batch=batch: _judge_alone(batch))  # type: ignore[misc]
        after = page[-1]
    return ended


def _judge_alone(batch: int, before: Sequence[int] = ()) -> list[int]:
    """Judge one batch; `before`, older than it, are held, so that each has either ended or will see the link."""
    with store.atomic():
        if before:
            store.rows("lock_batches_share", batches=list(before))
        store.rows("lock_batches", batches=families(batches=[batch]))
        return judge(batches=[batch])
