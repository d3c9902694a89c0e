"""Jobs of a selection that are found by their chunks: what has not been started, and what was cancelled.

They are counted for a preview by the rows of their chunks, and written down for an operation by opening these. No
table is read from its beginning: each state has its index, and each batch the one of its chunks.
"""

from typing import TYPE_CHECKING

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from queues import store
from queues.domain.operating import CANCELLED, PENDING, STOPPING
from queues.domain.states import UNFINISHED, ChunkState, OwnState
from queues.models import Chunk, Job, Queue
from queues.selectors.clock import database_now
from queues.selectors.expressions import UNENDED

if TYPE_CHECKING:
    from queues.services.selection import Selection

# Chunks, and jobs that were cancelled one by one, that one count may read; with more, there are at least so many.
CHUNKS = 20_000
OWN = 50_000


def freeze(meant: "Selection", *, operation: int, most: int) -> int:
    """Write the jobs as items of an operation, in its transaction; how many, which is `most` where there are more."""
    values = {
        "operation": operation,
        "queue": meant.queue_id(),
        "handler": meant.filters.get("handler"),
        "until": meant.until or database_now(),
        "top": meant.top,
        "most": most,
        "since": meant.since or "-infinity",
        "before": meant.before or "infinity",
        "by": meant.time,
    }
    if meant.state == CANCELLED:
        batches = meant.members()
        queues = [] if batches is not None else list(_queues(meant))
        return store.run("freeze_cancelled", batches=batches or [], queues=queues, **values)
    return store.run(
        "freeze_pending",
        batches=meant.members(),
        due={"waiting": True, "scheduled": False, "retrying": False}.get(meant.state),
        again={"scheduled": False, "retrying": True}.get(meant.state),
        ready=meant.state != "held",
        held=meant.state in (PENDING, "held"),
        **values,
    )


def counted(meant: "Selection", stopping: list[int]) -> tuple[int, dict[str, int], bool]:
    """How many jobs there are, with how many it is not possible, by reason, and whether that is exact. Reads at most
    20,000 chunks of each kind. `stopping` are batches that take no work back."""
    return _cancelled(meant, stopping) if meant.state == CANCELLED else _pending(meant)


def _pending(meant: "Selection") -> tuple[int, dict[str, int], bool]:
    """The jobs that run in the chunks that are meant are not, and are told."""
    chunks = _chunks(meant)
    due = {"waiting": Q(run_at__lte=meant.until), "scheduled": Q(run_at__gt=meant.until, is_retry=False)}
    due["retrying"] = Q(run_at__gt=meant.until, is_retry=True)
    total = seen = 0
    if meant.state != "held":
        total, seen = _sum(chunks.filter(due.get(meant.state, Q()), state=ChunkState.READY), UNENDED)
    if meant.state in (PENDING, "held"):
        jobs, held = _sum(chunks.filter(state=ChunkState.HELD), UNENDED)
        total, seen = total + jobs, max(seen, held)
    running, _ = _sum(chunks.filter(state=ChunkState.LEASED), UNENDED)
    return total + running, {"running now: left alone": running} if running else {}, seen <= CHUNKS


def _cancelled(meant: "Selection", stopping: list[int]) -> tuple[int, dict[str, int], bool]:
    """Those of a batch by all its chunks; else by the chunks that have ended, and one by one in those that go on."""
    there = ~Q(state=ChunkState.CANCELLED) | Q(finished_at__lte=meant.until)
    chunks, jobs = _chunks(meant).filter(there, archived_at=None, cancelled__gt=0), Job.objects.none()
    if meant.members() is None:
        chunks = chunks.filter(state__in=(ChunkState.DONE, ChunkState.CANCELLED))
        jobs = Job.objects.filter(own_state=OwnState.CANCELLED, chunk__in=_chunks(meant).filter(state__in=UNFINISHED))
    total, seen = _sum(chunks, F("cancelled"))
    own = jobs[: OWN + 1].count()
    flaws = 0
    if stopping:
        flaws = _sum(chunks.filter(batch__in=stopping), F("cancelled"))[0] + jobs.filter(batch__in=stopping).count()
    return total + min(own, OWN), {STOPPING: flaws} if flaws else {}, seen <= CHUNKS and own <= OWN


def _chunks(meant: "Selection") -> "QuerySet[Chunk]":
    """The chunks under the filters, in any state."""
    rows = Chunk.objects.filter(created_at__lte=meant.until)
    if (members := meant.members()) is not None:
        rows = rows.filter(batch_id__in=members)
    if (queue := meant.queue_id()) is not None:
        rows = rows.filter(queue_id=queue)
    rows = rows.filter(meant.within(meant.time))
    return rows.filter(handler=meant.filters["handler"]) if "handler" in meant.filters else rows


def _queues(meant: "Selection") -> "QuerySet[Queue, int]":
    """The queues that are looked through."""
    rows = Queue.objects.values_list("pk", flat=True)
    return rows if "queue" not in meant.filters else rows.filter(name=meant.filters["queue"])


def _sum(chunks: "QuerySet[Chunk]", jobs: Combinable) -> tuple[int, int]:
    found = chunks.annotate(counted=jobs).values("pk", "counted")[: CHUNKS + 1]
    sums = found.aggregate(jobs=Sum("counted"), chunks=Count("pk"))
    return sums["jobs"] or 0, sums["chunks"]
