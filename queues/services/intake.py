"""Jobs on their way into the tables: blocks are pulled, checked, encoded, cut into chunks and copied."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from queues import codec, store
from queues.domain.chunking import block_size, cut
from queues.domain.payload import DEFAULT_RULES, PayloadError, PayloadRules
from queues.domain.states import ChunkState, HeldWhy, Priority


class EnqueueError(ValueError):
    """What was to be enqueued cannot be: the message names the place. Nothing was written."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of a batch that differs from its neighbours."""

    payload: Any
    priority: Priority | str | int | None = None
    run_at: datetime | None = None
    queue: str | None = None


@dataclass(slots=True)
class Target:
    """Where jobs go. `key` makes each payload's unique key; `held` keeps the chunks from being claimed."""

    queue_id: int
    queue: str
    handler: str
    chunk_size: int
    priority: int
    run_at: datetime | None = None
    key: Callable[[Any], str] | None = None
    held: bool = False
    hashed: bool = False
    rules: PayloadRules = DEFAULT_RULES

    def digest(self) -> Any:
        """The beginning of a content hash: what all jobs have in common. Each job adds its own."""
        return hashlib.sha256(f"{self.queue}\t{self.handler}\n".encode())


@dataclass(slots=True)
class Intake:
    """What has been taken in for one batch so far.

    With unique keys, `free` are the indexes of the items whose key was free, and item 0 has the id `base`.
    """

    batch_id: int | None
    total: int = 0
    first_job: int | None = None
    last_job: int | None = None
    digest: Any = None
    base: int = 0
    free: set[int] | None = None


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


@dataclass(slots=True)
class Block:
    """Jobs that are pulled, checked and encoded together; `index` is that of the first within the batch."""

    index: int
    texts: list[str]
    lanes: list[tuple[int, datetime | None]]
    mixed: bool


def blocks(items: Iterator[Any], target: Target) -> Iterator[list[Any]]:
    """The items in blocks. They are pulled here, between statements, never within a COPY."""
    size = block_size(target.chunk_size)
    while block := list(islice(items, size)):
        yield block


def take_all(items: Iterator[Any], target: Target, intake: Intake, *, first_index: int = 0) -> int:
    """Write all items as jobs of one batch; the index after the last. Raises `EnqueueError`.

    A block is pulled before the COPY of the one before it, since its source may use the same connection, and
    encoded within that COPY, while the server is at work.
    """
    source = blocks(items, target)
    pulled = next(source, None)
    block = encode(pulled, target, intake, first_index) if pulled else None
    index = first_index
    while block is not None:
        index += len(block.texts)
        following, pulled = None, next(source, None)
        if pulled is not None:
            following = partial(encode, pulled, target, intake, index)
        block = take(block, target, intake, following)
    return index


def take(block: Block, target: Target, intake: Intake, following: Callable[[], Block] | None) -> Block | None:
    """Write one block; returns the next, which `following` encodes meanwhile."""
    texts, lanes = block.texts, block.lanes
    places: Sequence[int] = range(len(texts))
    if intake.free is not None:
        places = [place for place in places if block.index + place in intake.free]
    if block.mixed:
        places = sorted(places, key=lambda i: (lanes[i][0], _moment(lanes[i][1]), i))
    if block.mixed or intake.free is not None:
        texts, lanes = [texts[i] for i in places], [lanes[i] for i in places]
    if not texts:
        return following() if following else None
    if intake.free is None:
        # Ids in the order of the lanes: each chunk is a range of its own.
        places = range(len(texts))
        first = store.one("reserve_ids", sequence="queues_job_id_seq", wanted=len(texts))
    else:
        first = intake.base + block.index
    return _write(texts, lanes, places, target, intake, first, following)


def encode(items: list[Any], target: Target, intake: Intake, first_index: int) -> Block:
    """A block of items, checked and encoded, and added to the digest where one is wanted. Uses no connection.

    Raises `EnqueueError`.
    """
    payloads, lanes, mixed = lanes_of(items, target, first_index)
    try:
        texts = codec.encode_block(payloads, target.rules, first_index=first_index)
    except PayloadError as error:
        raise EnqueueError(str(error)) from None
    if target.hashed:
        for text, (priority, run_at) in zip(texts, lanes, strict=True):
            intake.digest.update(f"{priority}\t{_moment(run_at)}\t{text}\n".encode())
    return Block(first_index, texts, lanes, mixed)


def take_keys(items: list[Any], target: Target, intake: Intake) -> None:
    """Take the unique keys of all items, in one statement and sorted, and note which were free.

    Keys go to ids by the items' places, so a job whose key was taken leaves a gap.
    """
    assert target.key is not None
    keys = []
    for index, item in enumerate(items):
        payload = item.payload if isinstance(item, JobSpec) else item
        keys.append(check_key(target.key(payload), f"item {index}: key"))
    wanted = {key: place for place, key in reversed(list(enumerate(keys)))}
    intake.base = store.one("reserve_ids", sequence="queues_job_id_seq", wanted=len(items))
    taken = store.rows(
        "take_keys",
        queue=target.queue_id,
        keys=list(wanted),
        jobs=[intake.base + place for place in wanted.values()],
    )
    intake.free = {wanted[key] for (key,) in taken}


def neighbours(places: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted places as ranges (start, stop) of indexes over which they are consecutive."""
    if not places:
        return []
    if places[-1] - places[0] == len(places) - 1:
        return [(0, len(places))]
    breaks = [i for i in range(1, len(places)) if places[i] != places[i - 1] + 1]
    return list(zip([0, *breaks], [*breaks, len(places)], strict=True))


def _moment(run_at: datetime | None) -> float:
    return run_at.timestamp() if run_at else 0.0


def lanes_of(
    block: list[Any], target: Target, first_index: int
) -> tuple[list[Any], list[tuple[int, datetime | None]], bool]:
    """The payloads, their lanes (priority, due time), and whether these differ. Raises `EnqueueError`."""
    usual = (target.priority, target.run_at)
    if JobSpec not in {*map(type, block)}:
        return block, [usual] * len(block), False
    payloads: list[Any] = []
    lanes: list[tuple[int, datetime | None]] = []
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


def check_key(key: Any, place: str) -> str:
    """A usable unique key. Raises `EnqueueError` naming the place."""
    if not isinstance(key, str) or not 1 <= len(key) <= 200 or "\0" in key or not _encodable(key):
        raise EnqueueError(f"{place}: a unique key is text of 1 to 200 characters, not {key!r:.60}")
    return key


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


def _write(
    texts: list[str],
    lanes: list[tuple[int, datetime | None]],
    places: Sequence[int],
    target: Target,
    intake: Intake,
    first: int,
    following: Callable[[], Block] | None,
) -> Block | None:
    """Write jobs with the ids `first` + place. Places may have gaps where a key was taken; chunks span them."""
    cuts = cut(_sizes(texts), lanes, target.chunk_size)
    chunk = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(cuts))
    lines = []
    for number, c in enumerate(cuts, chunk):
        # Within a chunk places only rise, but may have gaps.
        for start, stop in neighbours(places[c.start : c.stop]):
            at = c.start + start
            lines.append(codec.copy_rows(first + places[at], number, intake.batch_id, texts[at : c.start + stop]))
    block = store.copy("copy_jobs", "".join(lines), meanwhile=following)
    store.run(
        "enqueue_chunks",
        queue=target.queue_id,
        batch=intake.batch_id,
        handler=target.handler,
        state=(ChunkState.HELD if target.held else ChunkState.READY).value,
        held_why=(HeldWhy.OPEN if target.held else HeldWhy.NONE).value,
        ids=list(range(chunk, chunk + len(cuts))),
        priorities=[c.priority for c in cuts],
        run_ats=[c.run_at for c in cuts],
        sizes=[c.stop - c.start for c in cuts],
        bytes=[c.bytes for c in cuts],
        first_ids=[first + places[c.start] for c in cuts],
        spans=[places[c.stop - 1] - places[c.start] + 1 for c in cuts],
        has_keys=[target.key is not None] * len(cuts),
    )
    low, high = first + min(places), first + max(places)
    intake.total += len(texts)
    intake.first_job = low if intake.first_job is None else min(low, intake.first_job)
    intake.last_job = max(high, intake.last_job or 0)
    return block


def _sizes(texts: list[str]) -> list[int]:
    """Payload bytes."""
    if all(map(str.isascii, texts)):
        return list(map(len, texts))
    return [len(text) if text.isascii() else len(text.encode()) for text in texts]
