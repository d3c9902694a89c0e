"""Why a batch is not finished: the facts, read in a bounded number of rows, for `queues.domain.unfinished`."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Min, Q, Sum

from queues.domain import unfinished
from queues.domain.states import UNFINISHED, BatchState, ChunkState, HeldWhy, RunState, WorkerState
from queues.domain.unfinished import Answer, Before, Facts, Pause, RunFact
from queues.models import Batch, BatchLink, Chunk, Queue, Run, Worker
from queues.selectors.expressions import UNENDED
from queues.selectors.worker_health import HEALTHY_FOR
from queues.services import standstill

# Runs and batches before it that are looked at; the sentence names one of each.
RUNS = 100
BEFORE = 100


def why(*, batch_id: int, now: datetime) -> Answer | None:
    """Why this batch goes on; None when it has ended, or is not there."""
    batch = Batch.objects.select_related("queue", "parent").filter(pk=batch_id, state=BatchState.RUNNING).first()
    return None if batch is None else unfinished.why(_facts(batch, now))


def _facts(batch: Batch, now: datetime) -> Facts:
    members = [batch.pk, *Batch.objects.filter(parent=batch).values_list("pk", flat=True)]
    sums, next_at, queues = _chunks(members, now)
    due_in = max(queues, key=lambda key: queues[key]) if queues else batch.queue_id
    queue = Queue.objects.filter(pk=due_in).first() or batch.queue
    held_by = batch.parent if batch.parent is not None and batch.parent.paused_at else batch
    after = [batch.pk, *([] if batch.parent_id is None else [batch.parent_id])]
    waits = BatchLink.objects.filter(after__in=after, before__state=BatchState.RUNNING)
    before = waits.order_by("before_id").values_list("before_id", "before__name", "before__stage")[:BEFORE]
    parked = Chunk.objects.filter(batch__in=members, state=ChunkState.PARKED, held_why=HeldWhy.DEAD)
    stands = _standing(queue.name, now) if sums["due"] else ("", "")
    return Facts(
        now=now,
        stop_reason=batch.stop_reason,
        sealed=batch.sealed_at is not None,
        pause=_pause(held_by),
        queue=queue.name,
        queue_pause=_pause(queue) if queue.paused_until is None or queue.paused_until > now else None,
        queue_stands=stands,
        suspended=_suspended(queue.name, now) if stands[0] == "workers" else [],
        pending_hand_over=batch.queued_at is None,
        hand_over_error=queue.hint_error if queue.hint_failures else "",
        later_at=next_at.get("later"),
        retrying_at=next_at.get("retrying"),
        dead=parked.aggregate(jobs=Sum("size"))["jobs"] or 0,
        runs=_runs(members, now),
        before=[Before(*row) for row in before],
        **sums,
    )


def _chunks(members: list[int], now: datetime) -> tuple[dict[str, int], dict[str, datetime], dict[int, int]]:
    """Unended jobs by where they stand, when the next of those that wait are due, and due jobs by queue."""
    due = Q(state=ChunkState.READY, run_at__lte=now)
    rows: Any = (
        Chunk.objects.filter(batch__in=members, state__in=UNFINISHED)
        .values_list("state", "held_why", "is_retry", "queue_id")
        .annotate(due=Sum(UNENDED, filter=due), rest=Sum(UNENDED, filter=~due), at=Min("run_at", filter=~due))
    )
    sums = dict.fromkeys(("running", "due", "later", "retrying", "held_stage", "held_open", "held_paused"), 0)
    next_at: dict[str, datetime] = {}
    queues: defaultdict[int, int] = defaultdict(int)
    for state, held_why, is_retry, queue, ready, rest, at in rows:
        if state == ChunkState.READY:
            sums["due"] += ready or 0
            if ready:
                queues[queue] += ready
            name = "retrying" if is_retry else "later"
            sums[name] += rest or 0
            if at is not None:
                next_at[name] = min(at.astimezone(UTC), next_at.get(name, at.astimezone(UTC)))
        else:
            held = f"held_{held_why}"
            # What is held for no reason of a batch is told as held, and by nothing.
            sums["running" if state == ChunkState.LEASED else held if held in sums else "held_paused"] += rest or 0
    return sums, next_at, queues


def _runs(members: list[int], now: datetime) -> list[RunFact]:
    leased = Chunk.objects.filter(batch__in=members, state=ChunkState.LEASED)
    ids = [run for run in leased.values_list("run_id", flat=True).distinct()[:RUNS] if run is not None]
    rows = list(Run.objects.filter(pk__in=ids, state=RunState.RUNNING).order_by("started_at"))
    workers = Worker.objects.in_bulk({row.worker_id for row in rows})
    return [_run(row, workers.get(row.worker_id), now) for row in rows]


def _run(row: Run, worker: Worker | None, now: datetime) -> RunFact:
    started, lease_until = row.started_at.astimezone(UTC), row.lease_until.astimezone(UTC)
    if worker is None:
        return RunFact(row.pk, "", started, lease_until)
    heard = worker.heartbeat_at.astimezone(UTC)
    silent = heard if now - heard > timedelta(seconds=HEALTHY_FOR) else None
    return RunFact(row.pk, worker.name, started, lease_until, str(worker.pk), silent)


def _suspended(name: str, now: datetime) -> list[tuple[str, str]]:
    """Living workers that take work of this queue and are suspended, by name."""
    living = Worker.objects.filter(state=WorkerState.SUSPENDED, heartbeat_at__gte=now - standstill.SILENT)
    rows = living.order_by("name", "pk").values_list("pk", "name", "queues")[:RUNS]
    return [(str(pk), worker) for pk, worker, queues in rows if not queues or name in queues]


def _standing(name: str, now: datetime) -> tuple[str, str]:
    found = standstill.explain(name=name, now=now)
    return found.kind, found.text


def _pause(paused: Batch | Queue) -> Pause | None:
    if paused.paused_at is None:
        return None
    until = paused.paused_until if isinstance(paused, Queue) else None
    return Pause(paused.paused_by, paused.paused_at.astimezone(UTC), paused.pause_reason, until)
