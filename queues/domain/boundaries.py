"""Where a batch is cut into chunks: by the queue's size, by the handler's own, or not at all."""

from queues.domain.states import Boundaries

# What a handler may say instead of a number: so light that a chunk may be as large as a batch, or so heavy that the
# work of a batch should spread over many workers.
WEIGHTS = {"light": 10_000, "heavy": 100}


def declared_size(chunk_size: int | None, weight: str | None) -> int | None:
    """The chunk size that a handler declares, as a number or by its weight; None when it declares none. ValueError."""
    if weight is None:
        if chunk_size is not None and (type(chunk_size) is not int or chunk_size < 1):
            raise ValueError(f"chunk_size: a whole number above 0, not {chunk_size!r}")
        return chunk_size
    if chunk_size is not None:
        raise ValueError("chunk_size and weight: either, not both")
    if weight not in WEIGHTS:
        raise ValueError(f"weight: {weight!r} is not one of {', '.join(WEIGHTS)}")
    return WEIGHTS[weight]


def size_of_chunks(boundaries: Boundaries | str, queue_size: int, handler_size: int | None, most: int) -> int:
    """Jobs to a chunk, where the enqueue says nothing else. A batch, and so a stage of one, has at most `most`."""
    match boundaries:
        case Boundaries.STAGE:
            size = most
        case Boundaries.HANDLER if handler_size is not None:
            size = handler_size
        case _:
            size = queue_size
    return min(size, most)
