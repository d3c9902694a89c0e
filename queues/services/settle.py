"""Recording the outcome of a run exactly once, guarded by its lease.

Every commit of a run, checkpoint or settle, passes the fence: the run is still running and its step is the
one this worker knows. Zero rows mean that the lease is gone, or that this very commit had arrived before and
only the answer was lost; the run's step tells which.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any

import orjson

from queues import store
from queues.domain.outcomes import Failure
from queues.domain.pausing import hold_paused
from queues.domain.records import Claim, Timing
from queues.domain.settlement import (
    Dead,
    Ended,
    Plan,
    Progress,
    fail_fast_batches,
    judge,
    plan,
)
from queues.domain.states import ChunkState, DeadReason, RunState, StopReason
from queues.services import deaths, events, finish
from queues.services.stop import families, stop_locked


class LeaseLost(Exception):
    """The run is no longer this worker's: nothing was written."""


class MovedAway(RuntimeError):
    """A job or chunk of a held lease was not where it must be: a broken invariant, nothing was written."""


def settle_whole(*, claim: Claim, step: int, timing: Timing) -> None:
    """End a run all of whose jobs have succeeded: one statement, one row for each chunk.

    Raises `LeaseLost`. Not for queues that keep results, nor for chunks with unique keys.
    """
    with store.atomic_if(claim.policy.limited):
        found = store.row("settle_whole", run=claim.run_id, step=step, p50=timing.p50, p95=timing.p95, max=timing.max)
        if not found or not found[0]:
            _own_commit(claim, step, RunState.DONE)
        elif claim.policy.limited:
            store.run("free_slot", run=claim.run_id)


def settle(
    *,
    claim: Claim,
    step: int,
    progress: dict[int, Progress],
    ended: Ended,
    final: bool,
    lease: float,
    timing: Timing | None = None,
    uniform: Callable[[], float] = random.random,
) -> tuple[dict[int, Progress], set[int]]:
    """Write what has ended since the last commit; with `final`, end the run and give back the rest.

    Returns the chunks still leased, as they now stand, and the batches known to be stopping. One transaction,
    repeated on a deadlock; after it, those idle batches end that a death has stopped. Raises `LeaseLost`, with
    nothing written.
    """
    deaths = judge(claim, ended)
    stops = fail_fast_batches(claim, deaths)

    def work() -> tuple[dict[int, Progress], set[int]]:
        with store.atomic():
            state = _final_state(ended, progress) if final else RunState.RUNNING
            if not store.run("fence", run=claim.run_id, step=step, state=state.value, lease=lease):
                _own_commit(claim, step, state)
                return leased_progress(claim.run_id), set()
            if final and claim.policy.limited:
                store.run("free_slot", run=claim.run_id)
            stopping, paused = _lock_batches(claim, ended, deaths, stops, final=final)
            made = plan(claim, progress, ended, deaths, stopping=stopping, final=final, uniform=uniform)
            hold_paused(claim, made, paused=paused)
            write_plan(claim, made, timing or Timing())
            stop_locked(batches=families(batches=stops), reason=StopReason.FAIL_FAST)
            return _left(progress, made), stopping

    result = store.repeated(work)
    if stops:
        # Should this fail, the caller settles again: the commit is recognised as its own, and this is repeated.
        finish.finish(batches={*families(batches=stops)} - {*claim.batch_ids})
    return result


def leased_progress(run_id: int) -> dict[int, Progress]:
    """The chunks that a run holds, as the database knows them."""
    return {
        chunk: Progress(size, succeeded, cancelled, bytearray(ended) if ended is not None else None)
        for chunk, size, succeeded, cancelled, ended in store.rows("leased_chunks", run=run_id)
    }


def _final_state(ended: Ended, progress: dict[int, Progress]) -> RunState:
    untouched = not ended.any and any(chunk.open for chunk in progress.values())
    return RunState.RELEASED if untouched else RunState.DONE


def _own_commit(claim: Claim, step: int, expected: RunState) -> None:
    found = store.row("read_fence", run=claim.run_id)
    if found != (expected.value, step + 1):
        raise LeaseLost(f"run {claim.run_id}")


def _lock_batches(
    claim: Claim, ended: Ended, deaths: dict[int, DeadReason], stops: set[int], *, final: bool
) -> tuple[set[int], set[int]]:
    """Lock what the plan may add unfinished work to; returns the batches that are stopping, and the paused ones.

    Alone where a death stops them, else shared: an upgrade later in the transaction could deadlock.
    """
    batches = claim.batch_ids
    if not batches:
        return set(), set()
    if stops:
        locked = store.rows("lock_batches", batches=sorted({*batches, *families(batches=stops)}))
    elif final or ended.others:
        locked = store.rows("lock_batches_share", batches=batches)
    else:
        return {batch for (batch,) in store.rows("stopping", batches=batches)}, set()
    stopped = {batch for batch, reason, _paused in locked if reason}
    return stopped | set(families(batches=stops)), {batch for batch, _reason, paused in locked if paused}


def _left(progress: dict[int, Progress], made: Plan) -> dict[int, Progress]:
    left = {**progress, **made.progress}
    for update in made.updates:
        if update.state is not ChunkState.LEASED:
            del left[update.id]
    return left


def write_plan(claim: Claim, made: Plan, timing: Timing) -> None:
    """Write a plan's rows. The caller has passed the fence and holds the batches."""
    new_ids = _new_chunks(claim, made)
    _move(made, new_ids)
    _write_failures(claim, made)
    if made.freed:
        store.run("free_keys", jobs=made.freed)
    if made.results:
        jobs, values = zip(*made.results, strict=True)
        store.run("insert_results", jobs=list(jobs), values=list(values), seconds=claim.policy.keep_results or 0.0)
    _write_chunks(claim, made, timing)


def _new_chunks(claim: Claim, made: Plan) -> list[int]:
    if not made.new_chunks:
        return []
    first = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(made.new_chunks))
    ids = list(range(first, first + len(made.new_chunks)))
    origins: defaultdict[int | None, set[int]] = defaultdict(set)
    for move in made.moves:
        origins[move.new].add(move.old_chunk)
    groups = [
        {
            "id": new_id,
            "queue": claim.policy.queue_id,
            "batch": new.batch_id,
            "handler": claim.handler,
            "priority": new.priority,
            "delay": new.delay,
            "until": new.until,
            "state": new.state,
            "held_why": new.held_why,
            "bytes": new.bytes,
            "job_ids": new.job_ids,
            "solo": new.solo,
            "losses": new.losses,
            "tries": 0,
            "has_keys": new.has_keys,
            "again": new.again and new.state is not ChunkState.PARKED,
            "run": claim.run_id,
            "origins": sorted(origins[place]),
        }
        for place, (new_id, new) in enumerate(zip(ids, made.new_chunks, strict=True))
    ]
    store.run("new_chunks", groups=orjson.dumps(groups).decode())
    return ids


def _move(made: Plan, new_ids: list[int]) -> None:
    moves = sorted(made.moves, key=lambda move: move.job_id)
    if not moves:
        return
    changed = store.run(
        "move_jobs",
        jobs=[move.job_id for move in moves],
        old_chunks=[move.old_chunk for move in moves],
        new_chunks=[move.old_chunk if move.new is None else new_ids[move.new] for move in moves],
        burns=[move.burn for move in moves],
        owns=[move.own.value if move.own else None for move in moves],
    )
    if changed != len(moves):
        raise MovedAway(f"{len(moves) - changed} of {len(moves)} jobs were not in the chunks of their lease")


def _write_failures(claim: Claim, made: Plan) -> None:
    if made.attempts:
        now = monotonic()
        attempts = [_attempt(job, failure, now) for job, failure in made.attempts]
        store.run(
            "insert_attempts",
            run=claim.run_id,
            worker=claim.worker_id,
            attempts=orjson.dumps(attempts).decode(),
        )
    if made.dead:
        letters = [_letter(dead) for dead in made.dead]
        queue = claim.policy.queue_id
        deaths.note_causes(letters=[(queue, dead.failure.fingerprint, None) for dead in made.dead])
        store.run(
            "insert_dead",
            queue=queue,
            handler=claim.handler,
            letters=orjson.dumps(letters).decode(),
        )
        deaths.follow(queue_id=queue, handler=claim.handler, jobs=[dead.job_id for dead in made.dead])
    events.jobs_retried(claim=claim, made=made)


def _attempt(job: int, failure: Failure, now: float) -> dict[str, Any]:
    return {
        "job": job,
        "kind": failure.kind,
        "started_ago": None if failure.started is None else now - failure.started,
        "ended_ago": 0.0 if failure.ended is None else now - failure.ended,
        "error_class": failure.error_class,
        "message": failure.message,
        "traceback": failure.traceback,
        "fingerprint": failure.fingerprint,
    }


def _letter(dead: Dead) -> dict[str, Any]:
    return {
        "job": dead.job_id,
        "batch": dead.batch_id,
        "fingerprint": dead.failure.fingerprint,
        "reason": dead.reason,
        "error_class": dead.failure.error_class,
        "message": dead.failure.message,
    }


def _write_chunks(claim: Claim, made: Plan, timing: Timing) -> None:
    updates, counts = made.updates, made.counts
    changed = store.run(
        "settle_chunks",
        run=claim.run_id,
        n_succeeded=counts.succeeded,
        n_failed=counts.failed,
        n_retried=counts.retried,
        n_dead=counts.dead,
        n_cancelled=counts.cancelled,
        n_returned=counts.returned,
        p50=timing.p50,
        p95=timing.p95,
        max=timing.max,
        ids=[update.id for update in updates],
        gone=[update.gone for update in updates],
        succeeded=[update.succeeded for update in updates],
        cancelled=[update.cancelled for update in updates],
        ended=[update.ended for update in updates],
        states=[update.state.value for update in updates],
        tried=[update.tried for update in updates],
        delays=[update.delay for update in updates],
    )
    if changed != len(updates):
        raise MovedAway(f"{len(updates) - changed} of {len(updates)} chunks were not with their run")
    cancelled = [update.id for update in updates if update.state is ChunkState.CANCELLED]
    if cancelled:
        store.run("free_chunk_keys", chunks=cancelled)
