"""One round of restoring archived jobs: as many as can be brought back, and for each of the others why not.

The locks are taken as everywhere, batches before chunks, and the archived rows after these: a purge, another restore or
the deletion of a batch has either taken a row before, or waits for this round.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from queues import store
from queues.domain.operating import DEEDS, IN_TRASH, NO_BATCH, NO_CHUNK, NO_QUEUE, NOT_ARCHIVED, STOPPING, Action
from queues.domain.states import BatchState
from queues.models import ArchivedJob, Batch, Queue
from queues.services import delete, restore


@dataclass(frozen=True, slots=True)
class _Held:
    """What the round holds, and what it knows of the queues and the trash."""

    batches: dict[int, Batch]
    chunks: set[int]
    queues: set[int]
    trashed: set[int]

    def why_not(self, row: ArchivedJob) -> str:
        """Why an archived job cannot run again; nothing where it can."""
        if row.queue_id not in self.queues:
            return NO_QUEUE
        if row.batch_id is None:
            return ""
        batch = self.batches.get(row.batch_id)
        if batch is None:
            return NO_BATCH
        family = [batch] + ([self.batches[batch.parent_id]] if batch.parent_id else [])
        if any(member.pk in self.trashed for member in family):
            return IN_TRASH
        if any(member.state == BatchState.RUNNING and member.stop_reason for member in family):
            return STOPPING
        return "" if row.chunk_id in self.chunks else NO_CHUNK


def make(*, jobs: Collection[int], who: Mapping[str, str]) -> dict[str, list[int]]:
    """Bring back what can be, within the caller's transaction; the jobs by outcome. Those without one come again."""
    outcomes: defaultdict[str, list[int]] = defaultdict(list)
    seen = {row.pk: row.chunk_id for row in ArchivedJob.objects.filter(pk__in=jobs).only("pk", "chunk_id")}
    held = _hold(jobs, set(seen.values()))
    rows = list(ArchivedJob.objects.select_for_update().filter(pk__in=jobs).order_by("pk"))
    if missing := sorted(set(jobs) - {row.pk for row in rows}):
        outcomes[NOT_ARCHIVED] = missing
    possible = []
    for row in rows:
        if seen.get(row.pk) != row.chunk_id:
            # It has run and was archived once more since the first look: its chunk is not held.
            continue
        if why := held.why_not(row):
            outcomes[why].append(row.pk)
        else:
            possible.append(row)
    if possible:
        restore.leave_chunks(possible)
        restore.bring_back(possible, batches=_families(possible, held.batches), who=who)
        outcomes[DEEDS[Action.UNARCHIVE].past] = [row.pk for row in possible]
    return outcomes


def _hold(jobs: Collection[int], chunks: set[int]) -> _Held:
    facts = set(ArchivedJob.objects.filter(pk__in=jobs).values_list("batch_id", "queue_id"))
    numbers = {batch for batch, _queue in facts if batch is not None}
    parents = Batch.objects.filter(pk__in=numbers, parent__isnull=False).values_list("parent_id", flat=True)
    wanted = sorted({*numbers, *(parent for parent in parents if parent is not None)})
    locked = Batch.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wanted).order_by("pk")
    batches = {batch.pk: batch for batch in locked}
    kept = {chunk for (chunk,) in store.rows("restore_lock", chunks=sorted(chunks))} if chunks else set()
    queues = set(Queue.objects.filter(pk__in={queue for _batch, queue in facts}).values_list("pk", flat=True))
    return _Held(batches, kept, queues, delete.deleted_of(wanted))


def _families(rows: Collection[ArchivedJob], batches: dict[int, Batch]) -> list[int]:
    numbers = {row.batch_id for row in rows if row.batch_id is not None}
    return sorted(numbers | {parent for number in numbers if (parent := batches[number].parent_id) is not None})
