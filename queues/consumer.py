"""For code that drives the loop itself: `claim`, `consume`, and the consumer as a worker that others can see.

    with queues.claim("mail", want=100, lease=60) as lease:
        for job in lease:
            ...
        lease.settle(ids=[...])

A consumer is a worker like the others: it registers, beats, is found when it dies, and can be told to wait or to stop.
"""

import atexit
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Protocol

from queues import shutdown, store
from queues.domain.idle import Pauses
from queues.domain.records import Claim, Policy
from queues.keeper import Keeper
from queues.lease import LONGEST_LEASE, SHORTEST_LEASE, Lease, checked_seconds
from queues.models import Queue
from queues.services import claim as claim_service
from queues.services import workers

log = logging.getLogger(__name__)

MOST_JOBS = 10_000
# A stop is noticed within this time, however long the pause.
LOOK = 0.1

_numbers = count(1)


class ConsumeError(ValueError):
    """The queue cannot be consumed as asked: the message says why."""


class ConsumerStopped(RuntimeError):
    """This consumer has been told to stop, or has left."""


class Stop(Protocol):
    """What ends a loop: a `threading.Event`, or what looks like one."""

    def is_set(self) -> bool:
        """Whether to end."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it."""


class Consumer:
    """A worker row, a keeper, and the leases held. Safe to use from several threads; not across a fork."""

    def __init__(self, *queues: str, name: str = "") -> None:
        """Register. `queues` are for those who watch; `name` is by default host, process and a number."""
        identity = workers.identify()
        self.identity = replace(identity, name=(name or f"{identity.name}/{next(_numbers)}")[:200])
        self._told = False
        self._left = False
        self._claiming = 0
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self.keeper = Keeper(self.identity.id, self._stop)
        self._hand = _Hand(self)
        workers.register(identity=self.identity, queues=list(queues))
        self.keeper.start()
        atexit.register(self.leave)

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def stopped(self) -> bool:
        """Whether to claim nothing more: told to stop, left, or the process is to stop."""
        return self._told or self._left or shutdown.requested()

    def halted(self) -> bool:
        """Whether to start no further job: stopped, or suspended for now."""
        return self.stopped or self.keeper.suspended

    def claim(self, queue: str, *, want: int = 100, lease: float = 60.0, renew: bool = False) -> Lease:
        """Hold up to `want` due jobs of a queue for `lease` seconds; an empty lease when none can be had now.

        Empty also while the queue is paused or at its limits, or this consumer is suspended. With `renew` the lease is
        renewed until it is closed. Raises `ConsumeError` for an unusable argument and `ConsumerStopped`.
        """
        seconds = _checked(want, lease, renew)
        policy = _policy(queue)
        with self._lock:
            if self.stopped or self.identity.pid != os.getpid():
                raise ConsumerStopped(f"consumer {self.identity.name} has stopped")
            self._claiming += 1
        made = Lease(self, queue, None, seconds, 0, renew)
        try:
            claim = None if self.keeper.suspended else self._take(policy, want, seconds)
            if claim is not None:
                made = self._load(claim, queue, want, seconds, renew)
        finally:
            with self._lock:
                self._claiming -= 1
                if made:
                    self._leases.add(made)
                    self.keeper.execution = self._hand
        return made

    def leave(self) -> None:
        """Give back what is held, and say that this consumer has stopped."""
        with self._lock:
            if self._left or self.identity.pid != os.getpid():
                return
            self._left = True
        atexit.unregister(self.leave)
        for lease in self.held():
            lease.close()
        self.keeper.stop()
        try:
            workers.leave(worker_id=self.identity.id, processed=self.keeper.processed, failed=self.keeper.failed)
        except store.CONNECTION_ERRORS as error:
            log.warning("the consumer's end could not be recorded: %s", error)

    def counted(self, jobs: int, failed: int) -> None:
        """So many jobs have been settled."""
        with self._lock:
            self.keeper.processed += jobs
            self.keeper.failed += failed

    def closed(self, lease: Lease) -> None:
        """This lease is over."""
        with self._lock:
            self._leases.discard(lease)
            if not self._leases:
                self.keeper.execution = None
        self._leave_if_told()

    def held(self) -> list[Lease]:
        """The leases that are held now."""
        with self._lock:
            return list(self._leases)

    def _stop(self) -> None:
        self._told = True
        self._leave_if_told()

    def _leave_if_told(self) -> None:
        """Once nothing is held any more: it may be long until somebody asks this consumer for anything."""
        with self._lock:
            busy = self._claiming or self._leases
        if self._told and not busy:
            self.leave()

    def _take(self, policy: Policy, want: int, seconds: float) -> Claim | None:
        # What a queue has collected starts as one: a smaller wish would never meet its rule.
        most = max(want, policy.run_size) if policy.flushes else want
        look = claim_service.MAX_LOOK if policy.flushes else want
        return claim_service.claim(policy=policy, worker_id=self.identity.id, want=most, lease=seconds, look=look)

    def _load(self, claim: Claim, queue: str, want: int, seconds: float, renew: bool) -> Lease:
        made = Lease(self, queue, claim, seconds, 0, renew)
        try:
            claim_service.load(claim=claim)
            if claim.careful and claim.ids:
                _mark(claim)
            made = Lease(self, queue, claim, seconds, _shown(claim, want), renew)
        finally:
            if not made:  # it could not be loaded, or all of it has been cancelled: nobody waits for its lease to end
                made.close()
        return made


class _Hand:
    """What the keeper looks after: all leases of one consumer."""

    told = False

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def tick(self) -> None:
        """The keeper's turn."""
        for lease in self._consumer.held():
            lease.tick()


def _checked(want: int, lease: float, renew: bool) -> float:
    if isinstance(want, bool) or not isinstance(want, int) or not 1 <= want <= MOST_JOBS:
        raise ConsumeError(f"want: {want!r} is no number of jobs from 1 to {MOST_JOBS:,}")
    try:
        seconds = checked_seconds("lease", lease, SHORTEST_LEASE, LONGEST_LEASE)
    except ValueError as error:
        raise ConsumeError(str(error)) from None
    if renew and store.in_transaction():
        raise ConsumeError("renew: a lease made within your own transaction cannot be renewed from outside it")
    return seconds


def _policy(queue: str) -> Policy:
    pk = Queue.objects.filter(name=queue).values_list("pk", flat=True).first()
    policy = claim_service.policy(queue_id=pk) if pk is not None else None
    if policy is None:
        raise ConsumeError(f"unknown queue {queue!r}; `manage.py queues list` shows those there are")
    return policy


def _shown(claim: Claim, want: int) -> int:
    """How many jobs of a claim, which leases whole chunks, are handed out; the rest goes back with the lease.

    Of work that was lost with a worker before, one: should this process die too, it is known at which job.
    """
    if claim.careful:
        return 1
    return len(claim.ids) if claim.policy.flushes else want


def _mark(claim: Claim) -> None:
    if store.in_transaction():  # nothing of the claim outlives this process then
        return
    with store.quick_commit():
        store.run("mark_job", run=claim.run_id, job=claim.ids[0])


_default: Consumer | None = None
_default_lock = threading.Lock()


def default() -> Consumer:
    """The consumer that this process is for `claim`; registered at its first use, anew after a fork."""
    global _default  # noqa: PLW0603
    with _default_lock:
        if _default is None or _default.identity.pid != os.getpid():
            _default = Consumer()
        return _default


def leave() -> None:
    """End the process's own consumer, if there is one. The next `claim` registers anew."""
    global _default  # noqa: PLW0603
    with _default_lock:
        if _default is not None:
            _default.leave()
        _default = None


def claim(queue: str, *, want: int = 100, lease: float = 60.0, renew: bool = False) -> Lease:
    """Hold up to `want` due jobs of a queue for `lease` seconds, as this process's consumer. See `Consumer.claim`."""
    return default().claim(queue, want=want, lease=lease, renew=renew)


def consume(
    queue: str,
    *,
    want: int = 100,
    lease: float = 60.0,
    idle: tuple[float, float] = (0.1, 5.0),
    stop: Stop | None = None,
    renew: bool = False,
    name: str = "",
) -> Iterator[Lease]:
    """One lease after the other, as a consumer of its own, until `stop` is set or it is told to stop.

    Each is closed when the next is asked for, or the loop is left. When nothing can be had it rests, from the first
    to the second number of `idle` seconds, twice as long each time.
    """
    pauses = Pauses(*idle)
    _checked(want, lease, renew)
    _policy(queue)
    return _consume(queue, want, lease, pauses, stop or threading.Event(), renew, name)


def _consume(
    queue: str, want: int, lease: float, pauses: Pauses, stop: Stop, renew: bool, name: str
) -> Iterator[Lease]:
    with Consumer(queue, name=name) as consumer:
        while not (stop.is_set() or consumer.stopped):
            held: Lease | None = None
            try:
                held = consumer.claim(queue, want=want, lease=lease, renew=renew)
                if held:
                    pauses.reset()
            except ConsumerStopped:
                return
            except store.CONNECTION_ERRORS as error:
                if store.in_transaction():
                    raise
                log.warning("the database is away, trying again: %s", error)
                store.reset()
            if held:
                with held:
                    yield held
            else:
                _rest(consumer, pauses.next(), stop)


def _rest(consumer: Consumer, seconds: float, stop: Stop) -> None:
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0 and not (stop.is_set() or consumer.stopped):
        stop.wait(min(left, LOOK))
