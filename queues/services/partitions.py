"""The partitions of the archive: made when the first job needs one, dropped when nothing in it is kept any more."""

import logging
from collections.abc import Iterable
from datetime import datetime

from queues import store
from queues.models import ArchivedJob, Job, Queue
from queues.services import delete

log = logging.getLogger(__name__)

# Job ids in one partition. Part of what is stored: never change it on a database that has an archive.
SIZE = 5_000_000
# Readers of the archive wait for a drop, and it for them, at most this long; the next purge tries again.
LOCK_MS = 1_000


def ensure(*, ranges: Iterable[tuple[int, int]]) -> None:
    """Make what is missing for these ranges of ids, each partition in a short transaction of its own."""
    numbers = sorted({n for low, high in ranges for n in range(low // SIZE, high // SIZE + 1)})
    for (number,) in store.rows("missing_partitions", numbers=numbers):
        with store.atomic(), store.lock_timeout(LOCK_MS * 5):
            store.row("set_partition", number=number, size=SIZE, before="", kept=[])
            store.run("create_partition")
        log.info("partition %s of the archive was made", number)


def existing() -> dict[int, int]:
    """Number and estimated rows of each partition."""
    return {row[0]: row[1] for row in store.rows("archive_partitions")}


def over(*, before: datetime) -> list[int]:
    """The partitions whose newest job ended before a time, with none of a batch in the trash. One into which jobs may
    still fall is not among them."""
    kept = list(delete.trashed())
    queues = list(Queue.objects.values_list("pk", flat=True))
    newest = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return [number for number in existing() if not _in_use(number, queues, kept, before, newest)]


def drop(*, before: datetime) -> list[int]:
    """Drop the partitions whose newest job ended before a time, with none of a batch in the trash; their numbers."""
    wanted = over(before=before)
    for number in wanted:
        try:
            with store.atomic(), store.lock_timeout(LOCK_MS):
                kept = list(delete.trashed())
                store.row("set_partition", number=number, size=SIZE, before=before.isoformat(), kept=kept)
                store.run("drop_partition")
        except store.LockTimeout:
            log.info("partition %s of the archive is in use; the next purge tries again", number)
    left = existing()
    return [number for number in wanted if number not in left]


def _in_use(number: int, queues: list[int], kept: list[int], before: datetime, newest: int) -> bool:
    # Each question is put in the order of an index: where most rows are an answer, the planner would else read the
    # table from its beginning, and after a purge that may be long and empty.
    rows = ArchivedJob.objects.filter(pk__gte=number * SIZE, pk__lt=(number + 1) * SIZE)
    for queue in queues:
        ends = rows.filter(queue=queue).order_by("-finished_at", "-pk").values_list("finished_at", flat=True)
        last = ends.first()
        if last is not None and last >= before:
            return True
    if kept and rows.filter(batch_id__in=kept).order_by("batch_id", "pk").values_list("pk").first() is not None:
        return True
    # Empty, but the newest jobs would soon want it again.
    return newest < (number + 1) * SIZE and not rows.exists()
