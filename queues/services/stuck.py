"""What should have moved on and has not: each finding names what did not do its work."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min

from queues import handlers, store
from queues.domain.spans import span
from queues.domain.states import ChunkState, RunState, WorkerState
from queues.models import Batch, Chunk, Queue, Run, Worker
from queues.selectors.clock import database_now
from queues.services.counts import Problem, check_keys, check_slots
from queues.services.standstill import check_standstill
from queues.services.workers import SILENT_AFTER

# Well beyond what the rings (reap every 2 s, finish every 5 s, drive every second) may take on a busy machine.
PATIENCE = timedelta(seconds=60)
ARCHIVE_PATIENCE = timedelta(hours=1)
MOST_HELD = 100
OVER = {"paused": "paused, but it is not", "open": "open, but it is sealed"}
MANY_FAILURES = 3
# Chunk rows of each queue that are looked at for their handlers.
LOOKED_AT = 5_000


def check_stuck() -> list[Problem]:
    """Look for work that is stuck; a few bounded queries, nothing is written."""
    now = database_now()
    return [
        *_expired_runs(now),
        *_unannounced(now),
        *_missed_ends(now),
        *_silent_workers(now),
        *check_standstill(now, PATIENCE),
        *_handlers(),
        *check_archiving(now),
        *_held_for_nothing(),
        *check_slots(),
        *check_keys(),
    ]


def check_now(now: datetime) -> list[Problem]:
    """What of it can be looked at every few seconds: what stands still while somebody watches."""
    return [*check_standstill(now, PATIENCE), *_expired_runs(now), *_missed_ends(now), *check_slots()]


def _expired_runs(now: datetime) -> Iterator[Problem]:
    runs = Run.objects.filter(state=RunState.RUNNING, lease_until__lt=now - PATIENCE)
    found = runs.aggregate(count=Count("pk"), oldest=Min("lease_until"))
    if found["count"]:
        since = _ago(now, found["oldest"])
        message = f"{found['count']:,} leases have ended, the first {since} ago, and nobody took the work back"
        yield Problem("reap", "runs", f"{message}: is `reap` rung?")


def _unannounced(now: datetime) -> Iterator[Problem]:
    batches = Batch.objects.filter(queued_at=None, state="running", sealed_at__lt=now - PATIENCE)
    waiting = batches.filter(created_at__lt=now - PATIENCE, queue__paused_at=None)
    # Nobody needs to hear of a batch that waits for others.
    for links in ("links_before", "parent__links_before"):
        waiting = waiting.exclude(**{f"{links}__before__state": "running"})
    found = waiting.aggregate(count=Count("pk"), oldest=Min("sealed_at"))
    if found["count"]:
        since = _ago(now, found["oldest"])
        message = f"{found['count']:,} have not been announced, the oldest for {since}"
        yield Problem("hand-over", "batches", f"{message}: is the broker reachable, is `drive` rung?")
    # Some failures in a row: one alone may be a broker that was being restarted.
    failing = Queue.objects.filter(hint_failures__gte=MANY_FAILURES, hint_failed_at__gte=now - PATIENCE)
    for queue in failing.order_by("name"):
        times = f"{queue.hint_failures:,} messages in a row could not be sent"
        yield Problem("hand-over", f"queue {queue.name}", f"{times}, the last one: {queue.hint_error}", warning=True)


def _missed_ends(now: datetime) -> Iterator[Problem]:
    finished = [batch for (batch,) in store.rows("finishable", after=0, limit=100)]
    last = dict(Chunk.objects.filter(batch__in=finished).values_list("batch_id").annotate(last=Max("finished_at")))
    for batch in finished:
        moment = last.get(batch)
        if moment is not None and moment < now - PATIENCE:
            since = _ago(now, moment)
            yield Problem("finish", f"batch {batch}", f"nothing is left to do for {since}: is `finish` rung?")


def _silent_workers(now: datetime) -> Iterator[Problem]:
    silent = Worker.objects.filter(heartbeat_at__lt=now - PATIENCE - timedelta(seconds=SILENT_AFTER))
    for worker in silent.exclude(state=WorkerState.STOPPED).order_by("heartbeat_at")[:50]:
        since = _ago(now, worker.heartbeat_at)
        yield Problem("workers", f"worker {worker.name}", f"not heard of for {since}, and not taken for stopped")


def _handlers() -> Iterator[Problem]:
    known = {handler.name for handler in handlers.known()}
    served = {handler.queue for handler in handlers.known()}
    for queue in Queue.objects.all():
        if queue.handler and queue.handler not in known:
            yield Problem("handlers", f"queue {queue.name}", f"its handler {queue.handler!r} is not declared")
        elif not queue.handler and queue.name not in served:
            yield Problem("handlers", f"queue {queue.name}", "no handler is declared for it", warning=True)
        rows = Chunk.objects.filter(queue=queue, state=ChunkState.READY).order_by("priority", "run_at", "id")
        waiting = set(rows.values_list("handler", flat=True)[:LOOKED_AT])
        for name in sorted(waiting - known):
            yield Problem(
                "handlers", f"queue {queue.name}", f"jobs wait for handler {name!r}, which is not declared here"
            )


def check_archiving(now: datetime) -> Iterator[Problem]:
    """Queues of which something should have been archived an hour ago; one query for each."""
    patience = ARCHIVE_PATIENCE.total_seconds()
    for queue in Queue.objects.all():
        cancelled = queue.archive_cancelled_after
        page = store.rows(
            "archive_pick",
            queue=queue.pk,
            grace=queue.archive_after + patience,
            cancelled_grace=None if cancelled is None else cancelled + patience,
            after_at=datetime(1, 1, 1, tzinfo=now.tzinfo),
            after=0,
            skip=[],
            chunks=1,
            jobs=1,
        )
        if page:
            since = _ago(now, page[0][1])
            message = f"chunk {page[0][0]} ended {since} ago and is not archived: is `archive` rung?"
            yield Problem("archive", f"queue {queue.name}", message, warning=True)


def _held_for_nothing() -> Iterator[Problem]:
    for batch, why, chunks, jobs in store.rows("check_held", limit=MOST_HELD):
        subject = f"batch {batch}" if batch else "single jobs"
        yield Problem("held", subject, f"{jobs:,} jobs in {chunks:,} chunks are held because it is {OVER[why]}")


def _ago(now: datetime, moment: datetime) -> str:
    return span(now - moment)
