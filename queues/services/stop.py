"""Stopping batches: nothing of theirs starts any more. Used by fail fast, within its settle, and by cancel."""

from collections.abc import Collection

from queues import store
from queues.domain.states import StopReason


def families(*, batches: Collection[int]) -> list[int]:
    """The batches that stop together with these, sorted: the parts of one parent stop as one."""
    if not batches:
        return []
    return [batch for (batch,) in store.rows("families", batches=list(batches))]


def stop_locked(*, batches: Collection[int], reason: StopReason) -> int:
    """Stop batches that the caller's transaction has locked; returns how many jobs were cancelled by it.

    Waiting chunks end here. Running work learns of it at its next checkpoint or renewal.
    """
    if not batches:
        return 0
    store.run("stop_batches", batches=list(batches), reason=reason.value)
    cancelled = store.rows("cancel_chunks", batches=list(batches))
    with_keys = [chunk for chunk, _jobs, has_keys in cancelled if has_keys]
    if with_keys:
        store.run("free_chunk_keys", chunks=with_keys)
    return sum(jobs for _chunk, jobs, _has_keys in cancelled)
