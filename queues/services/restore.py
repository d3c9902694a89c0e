"""Bringing archived jobs back: out of the archive, into new ready chunks, in one transaction."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
from django.db.models import Q

from queues import store
from queues.domain.states import BatchState, ChunkState, HeldWhy, Outcome
from queues.models import ArchivedJob, Batch, Queue
from queues.services import announce, audit
from queues.services.reopen import reopen

MOST = 1_000

_Lane = tuple[int, int | None, str, int]


class RestoreRefused(ValueError):
    """The jobs cannot be restored: the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What has been brought back."""

    jobs: int
    chunks: list[int]
    batches: list[int]


def restore(
    *,
    job_ids: Sequence[int] | None = None,
    batch: int | None = None,
    actor: str,
    source: str,
    reason: str = "",
) -> RestoreResult:
    """Let archived jobs run again, as new: named ones, or all of a batch and its parts; at most 1,000.

    Their batches, and the parents of these, run again until they have ended once more. Unique keys are not
    taken again. Raises `RestoreRefused`, with nothing changed.
    """
    if (job_ids is None) == (batch is None):
        raise RestoreRefused("name jobs, or a batch")
    if batch is not None:
        wanted, target = _of_batch(batch), f"batch {batch}"
    else:
        wanted = _named(job_ids or ())
        target = _jobs_in_words(wanted)

    def work() -> RestoreResult:
        with store.atomic():
            result = _restore(wanted, {"actor": actor, "source": source, "reason": reason})
            audit.record(
                actor=actor, source=source, action="restore jobs", target=target, reason=reason, jobs=result.jobs
            )
            return result

    return store.repeated(work)


def _named(job_ids: Sequence[int]) -> list[int]:
    numbers = sorted(set(job_ids))
    if not 1 <= len(numbers) <= MOST:
        raise RestoreRefused(f"{len(numbers):,} jobs; 1 to {MOST:,} can be restored at once")
    return numbers


def _of_batch(batch: int) -> list[int]:
    parts = list(Batch.objects.filter(parent_id=batch).values_list("pk", flat=True))
    rows = ArchivedJob.objects.filter(batch_id__in=[batch, *parts]).order_by("batch_id", "pk")
    numbers = list(rows.values_list("pk", flat=True)[: MOST + 1])
    if not numbers:
        raise RestoreRefused(f"batch {batch} has no archived jobs")
    if len(numbers) > MOST:
        raise RestoreRefused(f"batch {batch} has more than {MOST:,} archived jobs: name those to be restored")
    return sorted(numbers)


def _restore(numbers: list[int], who: Mapping[str, str]) -> RestoreResult:
    rows = list(ArchivedJob.objects.filter(pk__in=numbers).order_by("pk"))
    if missing := sorted(set(numbers) - {row.pk for row in rows}):
        raise RestoreRefused(f"not in the archive: {_jobs_in_words(missing)}")
    batches = _hold_batches({row.batch_id for row in rows if row.batch_id is not None})
    _check_queues({row.queue_id for row in rows})
    leave_chunks(rows)
    chunks = bring_back(rows, batches=batches, who=who)
    return RestoreResult(len(numbers), chunks, batches)


def bring_back(rows: Sequence[ArchivedJob], *, batches: Collection[int], who: Mapping[str, str]) -> list[int]:
    """Move archived jobs, whose chunks have let them go, into new ready chunks; these chunks.

    The caller's transaction holds `batches`, theirs and the parents of these, which run again because `who` (actor,
    source, reason) wants it. Raises `RestoreRefused` when some are not there any more.
    """
    lanes: defaultdict[_Lane, list[ArchivedJob]] = defaultdict(list)
    for row in rows:
        lanes[(row.queue_id, row.batch_id, row.handler, row.priority)].append(row)
    chunks = _new_chunks(lanes)
    moved = store.run("restore_jobs", jobs=list(chunks), chunks=list(chunks.values()))
    if moved != len(rows):
        raise RestoreRefused("somebody else is restoring or purging some of these jobs")
    reopen(batches=batches, **who)
    for queue in sorted({row.queue_id for row in rows}):
        announce.announce(queue_id=queue)
    return sorted(set(chunks.values()))


def _hold_batches(numbers: set[int]) -> list[int]:
    parents = Batch.objects.filter(pk__in=numbers, parent__isnull=False).values_list("parent_id", flat=True)
    wanted = sorted({*numbers, *(parent for parent in parents if parent is not None)})
    if wanted:
        store.rows("lock_batches", batches=wanted)
    found = {batch.pk: batch for batch in Batch.objects.filter(pk__in=wanted)}
    for number in wanted:
        if number not in found:
            raise RestoreRefused(f"batch {number} is not there any more")
        if found[number].state == BatchState.RUNNING and found[number].stop_reason:
            raise RestoreRefused(f"batch {number} is stopping")
    return wanted


def _check_queues(numbers: set[int]) -> None:
    known = set(Queue.objects.filter(pk__in=numbers).values_list("pk", flat=True))
    if numbers - known:
        raise RestoreRefused("the queue of some of these jobs is not there any more")


def leave_chunks(rows: Sequence[ArchivedJob]) -> None:
    """Take the jobs out of the counts of the chunks in which they ended."""
    succeeded: Counter[int] = Counter()
    others: Counter[int] = Counter()
    for row in rows:
        if row.batch_id is not None:
            (succeeded if row.outcome == Outcome.SUCCEEDED else others)[row.chunk_id] += 1
    left = sorted({*succeeded, *others})
    if not left:
        return
    store.rows("restore_lock", chunks=left)
    changed = store.run(
        "shrink_archived",
        chunks=left,
        succeeded=[succeeded[chunk] for chunk in left],
        cancelled=[others[chunk] for chunk in left],
    )
    if changed != len(left):
        raise RestoreRefused("the chunks of some of these jobs are not there: run `manage.py doctor --counts`")


def _new_chunks(lanes: dict[_Lane, list[ArchivedJob]]) -> dict[int, int]:
    """One chunk for each lane, ready unless its batch is paused; the new chunk of each job."""
    first = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(lanes))
    paused = set(
        Batch.objects.filter(pk__in={lane[1] for lane in lanes if lane[1] is not None})
        .filter(Q(paused_at__isnull=False) | Q(parent__paused_at__isnull=False))
        .values_list("pk", flat=True)
    )
    chunks: dict[int, int] = {}
    groups = []
    for number, ((queue, batch, handler, priority), rows) in enumerate(lanes.items(), first):
        chunks.update({row.pk: number for row in rows})
        groups.append(
            {
                "id": number,
                "queue": queue,
                "batch": batch,
                "handler": handler,
                "priority": priority,
                "delay": 0.0,
                "state": ChunkState.HELD if batch in paused else ChunkState.READY,
                "held_why": HeldWhy.PAUSED if batch in paused else HeldWhy.NONE,
                "again": True,
                "bytes": sum(len(row.payload.encode()) for row in rows),
                "job_ids": [row.pk for row in rows],
                "solo": False,
                "losses": 0,
                "tries": 0,
                "has_keys": False,
                "run": None,
            }
        )
    store.run("new_chunks", groups=orjson.dumps(groups).decode())
    return chunks


def _jobs_in_words(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5])
    more = f" and {len(numbers) - 5:,} more" if len(numbers) > 5 else ""
    return f"job {shown}{more}" if len(numbers) == 1 else f"jobs {shown}{more}"
