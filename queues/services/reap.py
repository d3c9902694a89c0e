"""Taking back what lost workers hold, and finding the job that kills them.

What a lost run held goes back to run alone and carefully, each job marked before it starts. Only a job that
was marked when its run was lost is blamed. Where a handler takes all jobs at once and no single one can be
named, the chunk is cut in halves, until the killer is alone.
"""

import logging
import random
import uuid

from queues import handlers, store
from queues.domain.outcomes import Failure
from queues.domain.pausing import hold_paused
from queues.domain.records import BatchFacts, Claim, ClaimedChunk, Timing
from queues.domain.settlement import (
    Ended,
    Move,
    NewChunk,
    Plan,
    Progress,
    judge,
    plan,
)
from queues.domain.states import AttemptKind, ChunkState, FailureMode, HeldWhy, StopReason
from queues.services import announce, events, finish, workers
from queues.services.claim import policy as read_policy
from queues.services.settle import write_plan
from queues.services.stop import families, stop_locked

log = logging.getLogger(__name__)

PAGE = 50
LOST = Failure(
    kind=AttemptKind.LOST,
    error_class="WorkerLost",
    message="the worker process died, or lost its lease, while it ran this job",
    fingerprint="worker-lost",
)


def reap() -> int:
    """Take back all expired runs, in pages; returns how many. Each in a transaction of its own."""
    workers.bury_dead()
    workers.bury_silent()
    reaped = 0
    while page := [run for (run,) in store.rows("expired_runs", limit=PAGE)]:
        taken = sum(reap_run(run_id=run) for run in page)
        reaped += taken
        if not taken:  # another reaper has them all
            break
    return reaped


def reap_run(*, run_id: int, expire: bool = False) -> bool:
    """Take one run back if its lease has ended; False when it is not this caller's to take.

    With `expire` its lease ends here, however long it was to last: its worker is known to be gone.
    """
    batches = store.repeated(lambda: _reap(run_id, expire))
    if batches is None:
        return False
    log.warning("run %s was lost; its chunks go back", run_id)
    finish.finish(batches=batches)
    return True


def _reap(run_id: int, expire: bool) -> set[int] | None:
    """The batches that may have ended by it, or None if the run is not there to be taken."""
    with store.atomic():
        if expire:  # here, and not before: a worker that lives after all could renew it in between
            store.run("expire_run", run=run_id)
        found = store.row("lose_run", run=run_id)
        if found is None:
            return None
        queue_id, worker_id, _careful, marked = found
        store.run("free_slot", run=run_id)
        policy = read_policy(queue_id=queue_id)
        assert policy is not None  # a queue with chunks cannot be deleted
        events.run_lost(run_id=run_id, queue=policy.name, worker=worker_id, marked_job=marked)
        claim = Claim(run_id, worker_id or uuid.UUID(int=0), policy, "", [])
        for batch, mode, parent, stopping in store.rows("run_batches", run=run_id):
            claim.batches[batch] = BatchFacts(batch, FailureMode(mode), parent, stopping)
        ended = _blame(claim, marked)
        stops, stopping_now, paused = _lock(claim, ended)
        claim.chunks = [ClaimedChunk(*values) for values in store.rows("run_chunks", run=run_id)]
        if not claim.chunks:
            return set()
        claim.handler = claim.chunks[0].handler
        _settle_marked(claim, ended, stopping_now, paused)
        _halve(claim, stopping_now, paused)
        _return(claim, stopping_now, paused)
        stopped = families(batches=stops)
        stop_locked(batches=stopped, reason=StopReason.FAIL_FAST)
        announce.announce(queue_id=queue_id)
        return {*claim.batch_ids, *stopped}


def _blame(claim: Claim, marked: int | None) -> Ended:
    """The marked job as lost, unless it had ended before its process died. Nobody else changes a lost run's jobs."""
    found = store.row("job_failures", job=marked) if marked is not None else None
    if marked is None or found is None:
        return Ended()
    failures, chunk = found
    held = {row[0] for row in store.rows("leased_chunks", run=claim.run_id)}
    if chunk not in held or (marked,) not in store.rows("members", chunk=chunk):
        return Ended()
    claim.ids, claim.failures, claim.places = [marked], [failures], [1]
    return Ended(others={0: LOST})


def _lock(claim: Claim, ended: Ended) -> tuple[set[int], set[int], set[int]]:
    """Lock the batches; returns those that this loss stops, all that are stopping, and the paused ones."""
    batches = sorted(claim.batches)
    deaths = judge(claim, ended) if ended.any else {}
    # The marked job's batch is known by its chunk only, which is not locked yet: a careful run has one chunk.
    stops = {b for b in batches if deaths and claim.batches[b].failure_mode is FailureMode.FAIL_FAST}
    if stops:
        locked = store.rows("lock_batches", batches=sorted({*batches, *families(batches=stops)}))
    else:
        locked = store.rows("lock_batches_share", batches=batches) if batches else []
    stopping = {batch for batch, reason, _paused in locked if reason} | set(families(batches=stops))
    return stops, stopping, {batch for batch, _reason, paused in locked if paused}


def _settle_marked(claim: Claim, ended: Ended, stopping: set[int], paused: set[int]) -> None:
    if not ended.any:
        return
    chunk = claim.chunks[0]
    progress = {chunk.id: Progress.of(chunk)}
    made = plan(claim, progress, ended, judge(claim, ended), stopping=stopping, final=False, uniform=random.random)
    hold_paused(claim, made, paused=paused)
    write_plan(claim, made, Timing())


def _halve(claim: Claim, stopping: set[int], paused: set[int]) -> None:
    """Cut the chunks of a handler that takes all jobs at once, when running alone has not named a killer."""
    if not claim.careful or not _is_whole(claim.handler):
        return
    for chunk in claim.chunks:
        members = [job for (job,) in store.rows("members", chunk=chunk.id)]
        if len(members) < 2 or chunk.batch_id in stopping:
            continue
        half = members[len(members) // 2 :]
        new = NewChunk(
            chunk.batch_id,
            chunk.priority,
            ChunkState.READY,
            HeldWhy.NONE,
            0.0,
            None,
            chunk.has_keys,
            solo=True,
            losses=chunk.losses + 1,
            bytes=chunk.bytes * len(half) // max(chunk.size, 1),
            job_ids=half,
        )
        moves = [Move(job, chunk.id, 0, 0, None) for job in half]
        made = Plan(new_chunks=[new], moves=moves)
        hold_paused(claim, made, paused=paused)
        write_plan(claim, made, Timing())
        store.run("shrink_chunk", chunk=chunk.id, gone=len(half))


def _is_whole(name: str) -> bool:
    try:
        return handlers.find(name).whole
    except handlers.UnknownHandler:
        return False


def _return(claim: Claim, stopping: set[int], paused: set[int]) -> None:
    cancel = [chunk.id for chunk in claim.chunks if chunk.batch_id in stopping]
    hold = [chunk.id for chunk in claim.chunks if chunk.batch_id in paused]
    store.run("return_chunks", run=claim.run_id, cancel=cancel, hold=hold)
    if cancel:
        store.run("free_chunk_keys", chunks=cancel)
