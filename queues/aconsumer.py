"""Leases from an event loop: the same, with the database asked in Django's own thread for that."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import monotonic
from typing import Any, overload

from asgiref.sync import sync_to_async

from queues import consumer, store
from queues.domain.idle import Pauses
from queues.domain.outcomes import Job
from queues.lease import Lease

log = logging.getLogger(__name__)


class AsyncLease:
    """A `Lease` whose verbs are awaited. Its jobs are in memory: looping over them needs no await."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease

    def __len__(self) -> int:
        return len(self.lease)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.lease)

    @property
    def lost(self) -> bool:
        """Whether its jobs are known to be somebody else's."""
        return self.lease.lost

    @overload
    async def settle(self, outcomes: Mapping[int, Any]) -> dict[int, bool]: ...
    @overload
    async def settle(self, *, ids: Iterable[int]) -> list[bool]: ...
    async def settle(
        self, outcomes: Mapping[int, Any] | None = None, *, ids: Iterable[int] | None = None
    ) -> dict[int, bool] | list[bool]:
        """See `Lease.settle`."""
        if ids is not None:
            return await sync_to_async(lambda: self.lease.settle(ids=ids))()
        return await sync_to_async(lambda: self.lease.settle(outcomes or {}))()

    async def release(self, ids: Iterable[int] | None = None, *, delay: float = 0.0) -> list[bool]:
        """See `Lease.release`."""
        return await sync_to_async(self.lease.release)(ids, delay=delay)

    async def extend(self, seconds: float) -> datetime:
        """See `Lease.extend`."""
        return await sync_to_async(self.lease.extend)(seconds)


@asynccontextmanager
async def aclaim(queue: str, **options: Any) -> AsyncIterator[AsyncLease]:
    """`claim` for an event loop; takes the same arguments."""
    making = asyncio.ensure_future(sync_to_async(consumer.claim)(queue, **options))
    try:
        lease = await asyncio.shield(making)
    except asyncio.CancelledError:
        # The thread goes on: what it gets nobody would give back before the lease ends.
        await sync_to_async((await making).close)()
        raise
    try:
        yield AsyncLease(lease)
    finally:
        await sync_to_async(lease.close)()


async def aconsume(
    queue: str,
    *,
    idle: tuple[float, float] = (0.1, 5.0),
    stop: asyncio.Event | None = None,
    name: str = "",
    **options: Any,
) -> AsyncIterator[AsyncLease]:
    """`consume` for an event loop; takes the same arguments, with an `asyncio.Event` to stop it.

    Where it is left early, `contextlib.aclosing` closes it at once.
    """
    pauses, stop = Pauses(*idle), stop or asyncio.Event()
    made = await sync_to_async(consumer.Consumer)(queue, name=name)
    try:
        while not (stop.is_set() or made.stopped):
            try:
                held = await sync_to_async(made.claim)(queue, **options)
            except consumer.ConsumerStopped:
                return
            except store.CONNECTION_ERRORS as error:
                log.warning("the database is away, trying again: %s", error)
                await sync_to_async(store.reset)()
                await _rest(made, pauses.next(), stop)
                continue
            if not held:
                await _rest(made, pauses.next(), stop)
                continue
            pauses.reset()
            try:
                yield AsyncLease(held)
            finally:
                await sync_to_async(held.close)()
    finally:
        await sync_to_async(made.leave)()  # also gives back what a cancelled claim has got


async def _rest(made: consumer.Consumer, seconds: float, stop: asyncio.Event) -> None:
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0 and not (stop.is_set() or made.stopped):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(left, consumer.LOOK))
