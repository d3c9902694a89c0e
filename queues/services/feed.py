"""What comes in: the jobs of one enqueue are pulled, checked and encoded in blocks, one ahead of their writing."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from queues import codec
from queues.domain.chunking import PIECE, block_size
from queues.domain.metadata import check_keys
from queues.domain.payload import DEFAULT_RULES, PayloadError, PayloadRules
from queues.domain.records import EnqueueLimit
from queues.domain.states import Priority

# Priority and due time: what the jobs of a chunk have in common.
Lane = tuple[int, datetime | None]


class EnqueueError(ValueError):
    """What was to be enqueued cannot be: the message names the place. Nothing was written."""


class BadPayload(EnqueueError):
    """A payload breaks the rules."""


class EnqueueLimited(EnqueueError):
    """The queue takes no more for now; it does after `retry_after` seconds, if nobody else was quicker."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of a batch that differs from its neighbours."""

    payload: Any
    priority: Priority | str | int | None = None
    run_at: datetime | None = None
    queue: str | None = None


@dataclass(slots=True)
class Target:
    """Where jobs go. `key` makes each payload's unique key.

    `held` keeps the chunks from being claimed until the batch is sealed, `waits` until those before it have ended.
    `source` is where the wish came from, as the activity list says it; nothing where somebody else tells it.
    """

    queue_id: int
    queue: str
    handler: str
    chunk_size: int
    priority: int
    run_at: datetime | None = None
    key: Callable[[Any], str] | None = None
    held: bool = False
    rules: PayloadRules = DEFAULT_RULES
    limit: EnqueueLimit | None = None
    waits: bool = False
    source: str = ""


@dataclass(slots=True)
class Block:
    """Jobs that are pulled, encoded and written together; `index` is that of the first within the batch."""

    index: int
    texts: list[str] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    mixed: bool = False


class Feed:
    """The jobs of one enqueue, block after block; `block` is the next one to write, None at the end.

    The block after it is pulled before it is written, since its source may use the same connection, and
    encoded while the server is at work on the writing. No block goes over a multiple of `part` jobs.
    With `hashed`, `digest` becomes the hash of the content. Raises `EnqueueError` from the constructor too.
    """

    def __init__(self, items: Iterator[Any], target: Target, part: int, *, hashed: bool = False) -> None:
        self.digest = hashlib.sha256(f"{target.queue}\t{target.handler}\n".encode())
        self.block: Block | None = None
        self._items, self._target, self._part, self._hashed = items, target, part, hashed
        self._index = 0
        self._pulled: list[Any] = []
        self._size = block_size(target.chunk_size)
        self.step()

    def step(self) -> None:
        """Go on to the next block."""
        self.pull()
        for _ in self.encode():
            pass

    def pull(self) -> None:
        """Take the items of the next block from their source."""
        wanted = min(self._size, self._part - self._index % self._part)
        self._pulled = list(islice(self._items, wanted))

    def encode(self) -> Iterator[None]:
        """Make the next block of what was pulled, in small steps. Uses no connection. Raises `EnqueueError`."""
        block, pulled, self._pulled = Block(self._index), self._pulled, []
        for start in range(0, len(pulled), PIECE):
            self._encode(pulled[start : start + PIECE], block)
            yield
        self._index += len(pulled)
        self.block = block if pulled else None
        self._size = block_size(self._target.chunk_size, sum(map(len, block.texts)), len(pulled))

    def _encode(self, items: list[Any], block: Block) -> None:
        index = block.index + len(block.texts)
        payloads, lanes, mixed = lanes_of(items, self._target, index)
        try:
            texts = codec.encode_block(payloads, self._target.rules, first_index=index)
        except PayloadError as error:
            raise BadPayload(str(error)) from None
        if self._hashed:
            for text, (priority, run_at) in zip(texts, lanes, strict=True):
                self.digest.update(f"{priority}\t{moment(run_at)}\t{text}\n".encode())
        block.texts += texts
        block.lanes += lanes
        block.mixed |= mixed


def moment(run_at: datetime | None) -> float:
    """A due time to compare and to hash: seconds, 0 when there is none."""
    return run_at.timestamp() if run_at else 0.0


def lanes_of(block: list[Any], target: Target, first_index: int) -> tuple[list[Any], list[Lane], bool]:
    """The payloads, their lanes (priority, due time), and whether these differ. Raises `EnqueueError`."""
    usual = (target.priority, target.run_at)
    if JobSpec not in {*map(type, block)}:
        return block, [usual] * len(block), False
    payloads: list[Any] = []
    lanes: list[Lane] = []
    for index, item in enumerate(block, first_index):
        if not isinstance(item, JobSpec):
            payloads.append(item)
            lanes.append(usual)
            continue
        if item.queue is not None and item.queue != target.queue:
            raise EnqueueError(f"item {index}: queue {item.queue!r} found, {target.queue!r} expected")
        priority = usual[0]
        if item.priority is not None:
            priority = parse_priority(item.priority, f"item {index}: priority")
        payloads.append(item.payload)
        lanes.append((priority, parse_run_at(item.run_at, f"item {index}: run_at") or usual[1]))
    return payloads, lanes, True


def parse_priority(value: Priority | str | int, place: str = "priority") -> int:
    """The number of a priority given by name or number. Raises `EnqueueError` naming the place."""
    names = {priority.label: priority.value for priority in Priority}
    if isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in names.values():
        return int(value)
    raise EnqueueError(f"{place}: {value!r} is not one of {', '.join(names)}")


def parse_run_at(value: datetime | None, place: str = "run_at") -> datetime | None:
    """An aware time or None. Raises `EnqueueError` naming the place."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise EnqueueError(f"{place}: a datetime is needed, not {type(value).__name__}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise EnqueueError(f"{place}: {value.isoformat()} has no time zone")
    if not 1 < value.year < 9999:  # in another time zone it may be beyond what Python can read back
        raise EnqueueError(f"{place}: {value.isoformat()} is out of range")
    return value


def check_key(key: Any, place: str) -> str:
    """A usable unique key. Raises `EnqueueError` naming the place."""
    if not isinstance(key, str) or not 1 <= len(key) <= 200 or "\0" in key or not _encodable(key):
        raise EnqueueError(f"{place}: a unique key is text of 1 to 200 characters, not {key!r:.60}")
    return key


def metadata_text(metadata: Mapping[str, Any] | None) -> str:
    """The JSON text of a batch's metadata. Raises `EnqueueError` naming the place."""
    if not isinstance(metadata or {}, Mapping):
        raise EnqueueError("metadata: an object is needed")
    found = dict(metadata or {})
    try:
        text = codec.encode(found, DEFAULT_RULES)
        check_keys(found)
    except PayloadError as error:
        raise EnqueueError(f"metadata: {error}") from None
    return text


def check_text(value: Any, place: str, longest: int) -> str:
    """Text that a column of so many characters takes. Raises `EnqueueError` naming the place."""
    if not isinstance(value, str) or len(value) > longest or "\0" in value or not _encodable(value):
        raise EnqueueError(f"{place}: text of at most {longest} characters")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
