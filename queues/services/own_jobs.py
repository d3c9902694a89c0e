"""Jobs that the engine writes by itself, in the transaction of what they are about: so none is lost or doubled."""

from collections.abc import Sequence

from queues import store
from queues.services import announce

# Above any payload that can be handed over by one statement and its parameters.
BLOCK_BYTES = 8 * 1024 * 1024


def write_jobs(*, queue_id: int, handler: str, texts: Sequence[str], chunk_size: int, priority: int) -> None:
    """Write one job for each JSON text and announce them. The caller has the transaction."""
    for block in _blocks(texts):
        chunks = -(-len(block) // chunk_size)
        first, chunk = store.rows("reserve_block", jobs=len(block), chunks=chunks)[0]
        store.run(
            "insert_jobs",
            queue=queue_id,
            handler=handler,
            priority=priority,
            job=first,
            chunk=chunk,
            chunk_size=chunk_size,
            payloads=block,
        )
    announce.announce(queue_id=queue_id)


def _blocks(texts: Sequence[str]) -> list[list[str]]:
    """The texts in blocks of bounded size."""
    blocks: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if blocks[-1] and size + len(text) > BLOCK_BYTES:
            blocks.append([])
            size = 0
        blocks[-1].append(text)
        size += len(text)
    return blocks
