"""Jobs on their way into the tables: blocks are cut into chunks and copied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from queues import codec, store
from queues.domain.chunking import PIECE, Cut, cut
from queues.domain.states import ChunkState, HeldWhy
from queues.services.feed import Block, Feed, JobSpec, Lane, Target, check_key, moment


@dataclass(slots=True)
class Intake:
    """What has been taken in for one batch so far.

    With unique keys, `free` are the indexes of the items whose key was free, and item 0 has the id `base`.
    """

    batch_id: int | None
    total: int = 0
    first_job: int | None = None
    last_job: int | None = None
    base: int = 0
    free: set[int] | None = None


def take_all(feed: Feed, target: Target, intake: Intake, room: int) -> None:
    """Write the feed's next blocks, up to `room` jobs, as jobs of one batch. Raises `EnqueueError`."""
    stop = feed.block.index + room if feed.block else 0
    while (block := feed.block) is not None and block.index < stop:
        feed.pull()
        take(block, target, intake, feed.encode())


def take(block: Block, target: Target, intake: Intake, meanwhile: Iterator[None]) -> None:
    """Write one block, and do `meanwhile` what needs no connection."""
    texts, lanes = block.texts, block.lanes
    places: Sequence[int] = range(len(texts))
    if intake.free is not None:
        places = [place for place in places if block.index + place in intake.free]
    if block.mixed:
        places = sorted(places, key=lambda i: (lanes[i][0], moment(lanes[i][1]), i))
    if block.mixed or intake.free is not None:
        texts, lanes = [texts[i] for i in places], [lanes[i] for i in places]
    if texts:
        _write(texts, lanes, places, target, intake, block.index, meanwhile)
    for _ in meanwhile:
        pass


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


def _write(
    texts: list[str],
    lanes: list[Lane],
    places: Sequence[int],
    target: Target,
    intake: Intake,
    index: int,
    meanwhile: Iterator[None],
) -> None:
    """Write jobs with the ids `first` + place. Places may have gaps where a key was taken; chunks span them."""
    cuts = cut(_sizes(texts), lanes, target.chunk_size)
    if intake.free is None:
        # Ids in the order of the lanes: each chunk is a range of its own.
        places = range(len(texts))
        first, chunk = store.rows("reserve_block", jobs=len(texts), chunks=len(cuts))[0]
    else:
        first = intake.base + index
        chunk = store.one("reserve_ids", sequence="queues_chunk_id_seq", wanted=len(cuts))
    lines = []
    for number, c in enumerate(cuts, chunk):
        # Within a chunk places only rise, but may have gaps.
        for start, stop in neighbours(places[c.start : c.stop]):
            at = c.start + start
            lines.append(codec.copy_rows(first + places[at], number, intake.batch_id, texts[at : c.start + stop]))
    store.copy("copy_jobs", _alternately("".join(lines), len(texts), meanwhile))
    _write_chunks(cuts, places, target, intake, first, chunk)
    low, high = first + min(places), first + max(places)
    intake.total += len(texts)
    intake.first_job = low if intake.first_job is None else min(low, intake.first_job)
    intake.last_job = max(high, intake.last_job or 0)


def _alternately(text: str, jobs: int, meanwhile: Iterator[None]) -> Iterator[str]:
    """The text in pieces. Between them, while the server has one to chew on, a step of other work is done."""
    step = len(text) * PIECE // jobs + 1
    for start in range(0, len(text), step):
        yield text[start : start + step]
        next(meanwhile, None)
    for _ in meanwhile:
        pass


def _write_chunks(
    cuts: list[Cut], places: Sequence[int], target: Target, intake: Intake, first: int, chunk: int
) -> None:
    store.run(
        "enqueue_chunks",
        queue=target.queue_id,
        batch=intake.batch_id,
        handler=target.handler,
        state=(ChunkState.HELD if target.held or target.waits else ChunkState.READY).value,
        held_why=(HeldWhy.OPEN if target.held else HeldWhy.STAGE if target.waits else HeldWhy.NONE).value,
        ids=list(range(chunk, chunk + len(cuts))),
        priorities=[c.priority for c in cuts],
        run_ats=[c.run_at for c in cuts],
        sizes=[c.stop - c.start for c in cuts],
        bytes=[c.bytes for c in cuts],
        first_ids=[first + places[c.start] for c in cuts],
        spans=[places[c.stop - 1] - places[c.start] + 1 for c in cuts],
        has_keys=[target.key is not None] * len(cuts),
    )


def _sizes(texts: list[str]) -> list[int]:
    """Payload bytes."""
    if all(map(str.isascii, texts)):
        return list(map(len, texts))
    return [len(text) if text.isascii() else len(text.encode()) for text in texts]
