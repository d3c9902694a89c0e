"""The same from an event loop, which goes on meanwhile: with ASGI, or in a plain `asyncio.run`.

The database is used through Django's own thread for it, so transactions and connections are those of the caller;
waiting holds neither that thread nor a connection of the pool.
"""

from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async

from queues.collect import acollect_results
from queues.models import Batch
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.feed import EnqueueError
from queues.services.lanes import HandlerRef
from queues.waiting import await_end

__all__ = ["acollect_results", "aenqueue", "aenqueue_batch", "await_end"]


async def aenqueue(handler: HandlerRef, payload: Any, **options: Any) -> int | None:
    """`enqueue`, with its options."""
    return await sync_to_async(enqueue, thread_sensitive=True)(handler, payload, **options)


async def aenqueue_batch(handler: HandlerRef, payloads: Iterable[Any], **options: Any) -> Batch:
    """`enqueue_batch`, with its options. A generator is read in Django's thread."""
    if hasattr(payloads, "__aiter__"):
        # Reading it would need the thread that is busy writing.
        raise EnqueueError("payloads: an asynchronous iterator cannot be read while writing; collect its items first")
    return await sync_to_async(enqueue_batch, thread_sensitive=True)(handler, payloads, **options)
