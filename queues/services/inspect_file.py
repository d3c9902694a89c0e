"""A file of jobs looked through before anything is written: every line, with all that is wrong, and a sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from queues import codec
from queues.domain.columns import BadCell, Shape
from queues.domain.payload import PayloadError, PayloadRules
from queues.services.feed import EnqueueError
from queues.services.feeds import Feed

# What is kept of what was found, and items looked at together.
FLAWS = 20
SAMPLES = 5
SAMPLE_LENGTH = 2_000
BLOCK = 250


@dataclass(slots=True)
class Inspection:
    """What a file holds. `flaws` are the first bad lines with what is wrong; `more` are there beside them."""

    jobs: int = 0
    flaws: list[tuple[int, str]] = field(default_factory=list)
    more: int = 0
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)

    def note(self, line: int, why: str) -> None:
        """One more bad line."""
        if len(self.flaws) < FLAWS:
            self.flaws.append((line, why))
        else:
            self.more += 1


def inspect_file(
    *,
    stream: BinaryIO,
    form: str,
    rules: PayloadRules,
    shape: Shape | None = None,
    progress: Callable[[int], None] | None = None,
) -> Inspection:
    """Check every line as enqueueing would; `progress` hears how many bytes were read. Memory stays flat."""
    found = Inspection()
    feed = Feed(stream, form, found.note)
    items, place = feed.payloads(), 0
    try:
        while block := list(islice(items, BLOCK)):
            if form == "csv" and len(found.rows) < SAMPLES:
                found.rows += block[: SAMPLES - len(found.rows)]
            _check(block, place, feed, found, rules, shape)
            place += len(block)
            if progress is not None:
                progress(feed.bytes_read)
    except EnqueueError as error:
        # Only a header that cannot be used raises: without it no line means anything.
        line, _, why = str(error).removeprefix("line ").partition(": ")
        found.note(int(line), why)
    found.columns = feed.header
    found.flaws.sort()
    if not found.jobs and not found.flaws:
        found.note(feed.lines + 1, "there are no jobs in it")
    return found


def _check(
    block: list[Any], place: int, feed: Feed, found: Inspection, rules: PayloadRules, shape: Shape | None
) -> None:
    payloads: list[Any] = []
    for index, item in enumerate(block, place):
        try:
            payloads.append(item if shape is None else shape(item))
        except BadCell as error:
            found.note(feed.line_of(index), str(error))
            payloads.append(None)
    try:
        texts = codec.encode_block(payloads, rules)
    except PayloadError:
        texts = _one_by_one(payloads, place, feed, found, rules)
    found.jobs += len(block)
    if len(found.samples) < SAMPLES:
        found.samples += [text[:SAMPLE_LENGTH] for text in texts[: SAMPLES - len(found.samples)]]


def _one_by_one(payloads: list[Any], place: int, feed: Feed, found: Inspection, rules: PayloadRules) -> list[str]:
    texts = []
    for index, payload in enumerate(payloads, place):
        try:
            texts.append(codec.encode(payload, rules))
        except PayloadError as error:
            found.note(feed.line_of(index), str(error))
    return texts
