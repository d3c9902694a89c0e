"""What happened, told to whoever wants to know: signals for code, deliveries for webhooks.

Called in the transaction of the change. Deliveries are written in it; signals go out after its commit. With no
webhook and no receiver nothing is read but the few rows of the webhooks, and those only for batches, deaths and pauses.
"""

import json
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

from queues import signals, store
from queues.domain.records import Claim
from queues.domain.settlement import Plan
from queues.domain.states import ChunkState
from queues.services import webhooks

if TYPE_CHECKING:
    from django.dispatch import Signal


def batch_enqueued(*, batch_id: int) -> None:
    """A batch has been accepted with all its jobs."""
    _batch("batch.enqueued", signals.batch_enqueued, batch_id)


def batch_finished(*, batch_id: int) -> None:
    """A batch has ended, for the first time or again."""
    _batch("batch.finished", signals.batch_finished, batch_id)


def batches_started(*, batches: Iterable[int]) -> None:
    """The first jobs of these batches have been claimed."""
    if signals.batch_started.has_listeners():
        for batch in batches:
            if found := store.row("batch_event", batch=batch):
                signals.tell(signals.batch_started, **json.loads(found[0]))


def _batch(event: str, signal: "Signal", batch_id: int) -> None:
    wanted = webhooks.wanting(event=event, batch_id=batch_id)
    if not wanted and not signal.has_listeners():
        return
    found = store.row("batch_event", batch=batch_id)
    if found is None:  # a part
        return
    webhooks.write(event=event, wanted=wanted, facts=[found[0]])
    signals.tell(signal, **json.loads(found[0]))


def queue_changed(*, event: str, queue_id: int, facts: dict[str, Any]) -> None:
    """A queue was paused or resumed. `facts` are plain values."""
    wanted = webhooks.wanting(event=event, queue_id=queue_id)
    webhooks.write(event=event, wanted=wanted, facts=[json.dumps(facts, ensure_ascii=False)])
    signals.tell(signals.queue_paused if event == "queue.paused" else signals.queue_resumed, **facts)


def jobs_retried(*, claim: Claim, made: Plan) -> None:
    """Some jobs have failed and will be tried again: one signal for all of a commit."""
    if not made.counts.retried or not signals.jobs_retried.has_listeners():
        return
    again = {
        move.job_id
        for move in made.moves
        if move.burn and move.new is not None and made.new_chunks[move.new].state is not ChunkState.PARKED
    }
    failures = dict(zip(claim.ids, claim.failures, strict=True))
    jobs = [
        {
            "job": job,
            "attempt": failures[job] + 1,
            "kind": str(failure.kind),
            "error_class": failure.error_class,
            "message": failure.message,
            "fingerprint": failure.fingerprint,
        }
        for job, failure in made.attempts
        if job in again
    ]
    signals.tell(signals.jobs_retried, **_of_run(claim), jobs=jobs)


def run_started(*, claim: Claim) -> float:
    """A worker begins with a run; returns when, by the monotonic clock."""
    if signals.run_started.has_listeners():
        chunks, jobs = len(claim.chunks), len(claim.ids)
        signals.tell(signals.run_started, **_of_run(claim), **_sizes(claim), jobs=jobs, chunks=chunks)
    if claim.policy.flushes and signals.run_accumulated.has_listeners():
        _accumulated(claim)
    return monotonic()


def _accumulated(claim: Claim) -> None:
    found = store.row("flush_rule", queue=claim.policy.queue_id, oldest=min(chunk.run_at for chunk in claim.chunks))
    if found is None:
        return
    jobs, size, seconds, waited = found
    signals.tell(
        signals.run_accumulated,
        **_of_run(claim),
        jobs=len(claim.ids),
        bytes=sum(chunk.bytes for chunk in claim.chunks),
        waited_seconds=waited,
        flush_jobs=jobs,
        flush_bytes=size,
        flush_seconds=seconds,
    )


def run_finished(*, claim: Claim, since: float) -> None:
    """A run has been settled; not told of a lost one, whose results did not count."""
    if not signals.run_finished.has_listeners():
        return
    seconds = monotonic() - since
    found = store.row("run_event", run=claim.run_id)
    if found is None or found[0] == "lost":
        return
    names = ("state", "jobs", "wanted", "chunks", "succeeded", "failed", "retried", "dead", "cancelled", "returned")
    signals.tell(
        signals.run_finished,
        **_of_run(claim),
        **{**_sizes(claim), **dict(zip(names, found, strict=True))},
        seconds=seconds,
    )


def run_lost(*, run_id: int, queue: str, worker: UUID | None, marked_job: int | None) -> None:
    """The reaper has taken a run back."""
    signals.tell(
        signals.run_lost, run=run_id, queue=queue, worker=str(worker) if worker else None, marked_job=marked_job
    )


def _of_run(claim: Claim) -> dict[str, Any]:
    return {
        "run": claim.run_id,
        "queue": claim.policy.name,
        "handler": claim.handler,
        "worker": str(claim.worker_id),
        "batches": claim.batch_ids,
    }


def _sizes(claim: Claim) -> dict[str, Any]:
    return {
        "run_size": claim.policy.run_size,
        "chunk_size": claim.policy.chunk_size,
        "careful": claim.careful,
    }
