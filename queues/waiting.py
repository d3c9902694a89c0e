"""Waiting for the end of a batch: woken by the transaction that ends it, and looking now and then all the same."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from time import monotonic, sleep

from asgiref.sync import sync_to_async

from queues import store
from queues.domain.states import BatchState
from queues.models import Batch, batch_id

log = logging.getLogger(__name__)

# A notice may be lost, for instance behind a pooler that shares sessions: then this is how late one knows.
LOOK_EVERY = 0.5
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.5


class Clock:
    """How much of a time limit is left. None is no limit."""

    def __init__(self, timeout: float | None) -> None:
        # Not `timeout < 0`: a NaN is neither below nor ever over.
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0
        ):
            raise ValueError(f"timeout: seconds from 0, or None, not {timeout!r}")
        self.timeout = timeout
        self._until = None if timeout is None else monotonic() + timeout

    def left(self, most: float) -> float:
        """Seconds to wait now, at most `most`."""
        return most if self._until is None else max(0.0, min(most, self._until - monotonic()))

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._until is not None and monotonic() >= self._until

    def too_late(self, batch: int) -> TimeoutError:
        """What is raised then."""
        return TimeoutError(f"batch {batch} is still running after {self.timeout:g} s")


class Pauses:
    """Growing pauses between looks."""

    def __init__(self) -> None:
        self._next = SHORTEST_PAUSE

    def take(self) -> float:
        """The next one."""
        self._next, now = min(self._next * 1.5, LONGEST_PAUSE), self._next
        return now


def state_of(batch: Batch | int) -> BatchState:
    """How a batch stands now. Raises `LookupError`."""
    number = batch_id(batch)
    found = Batch.objects.filter(pk=number).values_list("state", flat=True).first()
    if found is None:
        raise LookupError(f"unknown batch {number}")
    return BatchState(found)


def wait(
    batch: Batch | int, timeout: float | None = None, *, progress: Callable[[], None] = lambda: None
) -> BatchState:
    """Wait until a batch has ended, and return how. `progress` is called twice a second meanwhile.

    Raises `TimeoutError` when it still runs after `timeout` seconds, `LookupError` when there is no such batch.
    """
    number = batch_id(batch)
    clock, state = Clock(timeout), state_of(number)
    if state is not BatchState.RUNNING:
        return state
    with _ears() as hear:
        while (state := state_of(number)) is BatchState.RUNNING:
            if clock.over:
                raise clock.too_late(number)
            progress()
            hear(number, clock.left(LOOK_EVERY))
    return state


async def await_end(batch: Batch | int, timeout: float | None = None) -> BatchState:
    """`wait` for an event loop, which goes on meanwhile."""
    number = batch_id(batch)
    look = sync_to_async(state_of, thread_sensitive=True)
    clock, state = Clock(timeout), await look(number)
    if state is not BatchState.RUNNING:
        return state
    async with AsyncExitStack() as stack:
        hear, pauses = None, Pauses()
        parameters = await sync_to_async(store.session_parameters, thread_sensitive=True)()
        try:
            hear = await stack.enter_async_context(store.alistening("listen_ends", parameters))
        except store.CONNECTION_ERRORS as error:
            log.warning("no session to listen with, so looking now and then: %s", error)
        while (state := await look(number)) is BatchState.RUNNING:
            if clock.over:
                raise clock.too_late(number)
            until = monotonic() + clock.left(LOOK_EVERY)
            try:
                while hear is not None and (left := until - monotonic()) > 0 and str(number) not in await hear(left):
                    pass
            except store.CONNECTION_ERRORS as error:
                log.warning("the listening session is gone, so looking now and then: %s", error)
                hear = None
            if hear is None:
                await asyncio.sleep(clock.left(pauses.take()))
    return state


@contextmanager
def _ears() -> Iterator[Callable[[int, float], None]]:
    """A function that returns when a batch may have ended, or after so many seconds."""
    with ExitStack() as stack:
        news: Callable[[float], set[str]] | None = None
        pauses = Pauses()
        try:
            news = stack.enter_context(store.listening("listen_ends"))
        except store.CONNECTION_ERRORS as error:
            log.warning("no session to listen with, so looking now and then: %s", error)

        def hear(number: int, seconds: float) -> None:
            nonlocal news
            until = monotonic() + seconds
            try:
                while news is not None and (left := until - monotonic()) > 0 and str(number) not in news(left):
                    pass
            except store.CONNECTION_ERRORS as error:
                log.warning("the listening session is gone, so looking now and then: %s", error)
                news = None
            if news is None:
                sleep(max(0.0, min(pauses.take(), until - monotonic())))

        yield hear
