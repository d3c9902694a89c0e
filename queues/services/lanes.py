"""Where an enqueue goes: the handler, its queue, and what the queue asks of those who enqueue."""

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from django.conf import settings

from queues import handlers, store
from queues.domain.boundaries import size_of_chunks
from queues.domain.payload import PayloadRules
from queues.domain.payload_wishes import rules_of
from queues.domain.records import EnqueueLimit
from queues.services.feed import EnqueueError

HandlerRef = str | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class QueueLane:
    """A queue, for one handler. `chunk_size` is by the queue's boundaries."""

    id: int
    name: str
    handler: str
    chunk_size: int
    priority: int
    batch_threshold: int | None
    rules: PayloadRules
    limit: EnqueueLimit | None


def find_lane(handler: HandlerRef, queue: str | None) -> QueueLane:
    """The lane of a handler, on its own queue or another. Raises `EnqueueError`."""
    try:
        found = handlers.find(handler)
    except handlers.UnknownHandler as error:
        raise EnqueueError(str(error)) from None
    name = queue or found.queue
    known = isinstance(name, str) and handlers.QUEUE_NAME.match(name)
    row = store.row("queue_for_enqueue", name=name) if known else None
    if row is None:
        raise EnqueueError(f"unknown queue {name!r}; `manage.py sync_queues` makes the declared ones")
    number, _handler, chunk_size, priority, boundaries, threshold, *wishes = row
    size = size_of_chunks(boundaries, chunk_size, found.chunk_size, settings.BATCH_MAX_JOBS)
    return QueueLane(number, name, found.name, size, priority, threshold, *asked_by(name, *wishes))


def asked_by(
    queue: str, rules: str | None, rate: float | None, burst: float | None
) -> tuple[PayloadRules, EnqueueLimit | None]:
    """What a queue asks of those who enqueue, as its row says it."""
    try:
        return rules_of(rules), None if rate is None else EnqueueLimit(rate, burst)
    except ValueError as error:
        raise EnqueueError(f"queue {queue!r} has payload_rules that cannot be kept: {error}") from None


def spread(payloads: Iterable[Any], items: Iterator[Any], size: int, threshold: int) -> tuple[int, Iterator[Any]]:
    """The chunk size, 1 for a batch of fewer jobs than `threshold`: one chunk is worked on by one worker at a time."""
    if isinstance(payloads, Sized):
        return (1 if len(payloads) < threshold else size), items
    first = list(islice(items, threshold))
    return (1 if len(first) < threshold else size), chain(first, items)
