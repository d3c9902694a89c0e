"""A file of jobs becomes one batch, all or none: for the command and for the page."""

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from queues import handlers
from queues.domain.columns import BadCell, Shape
from queues.models import Batch, Queue
from queues.services.enqueue import enqueue_batch
from queues.services.feed import EnqueueError
from queues.services.feeds import Feed

# How often progress is told: a call for each line would cost more than the line.
REPORT_EVERY = 1_000


def submit(
    *,
    stream: BinaryIO,
    form: str,
    handler: str,
    queue: str | None,
    progress: Callable[[int], None] | None = None,
    shape: Shape | None = None,
    actor: str,
    source: str,
    **options: Any,
) -> Batch:
    """Enqueue the lines of a JSONL or CSV (`form`) stream; `progress` hears how many bytes were read.

    `shape` makes a payload of a row of CSV. `options` are those of `enqueue_batch`. Memory stays flat.
    Raises `EnqueueError`, which names the line, with nothing written.
    """
    feed = Feed(stream, form)

    def payloads() -> Iterator[Any]:
        for place, payload in enumerate(feed.payloads()):
            if progress is not None and place % REPORT_EVERY == 0:
                progress(feed.bytes_read)
            yield payload if shape is None else _shaped(shape, payload, feed.line_of(place))

    try:
        return enqueue_batch(handler, payloads(), queue=queue, created_by=actor, source=source, **options)
    except EnqueueError as error:
        # The services count items; a person looks for a line.
        found = re.match(r"item (\d+): ", str(error))
        if found is None:
            raise
        raise EnqueueError(f"line {feed.line_of(int(found[1]))}: {str(error)[found.end() :]}") from None


def _shaped(shape: Shape, row: dict[str, str], line: int) -> Any:
    try:
        return shape(row)
    except BadCell as error:
        raise EnqueueError(f"line {line}: {error}") from None


def resolve(*, target: str) -> tuple[str, str | None]:
    """The handler and queue that a name means: a handler's, or that of a queue with one handler.

    Raises `EnqueueError`.
    """
    try:
        return handlers.find(target).name, None
    except handlers.UnknownHandler as error:
        row = Queue.objects.filter(name=target).first() if "\0" not in target else None
        if row is None:
            known = str(error).partition("; ")[2]
            raise EnqueueError(f"{target!r} is neither a handler nor a queue; {known}") from None
    if row.handler:
        return row.handler, row.name
    fitting = [known.name for known in handlers.known() if known.queue == row.name]
    if len(fitting) != 1:
        raise EnqueueError(f"queue {target!r} has {len(fitting)} handlers: name the handler instead")
    return fitting[0], row.name
