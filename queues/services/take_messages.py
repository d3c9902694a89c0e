"""Messages of a log become jobs, exactly once: the offset moves in the transaction that enqueues them."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db.models.functions import Now

from queues import codec, store
from queues.builtin import UNREADABLE
from queues.domain.payload import JsonText, PayloadError
from queues.models import KafkaOffset
from queues.services import audit
from queues.services.enqueue import enqueue_batch, insert_one
from queues.services.lanes import QueueLane, find_lane

# Bytes of an unreadable message that are kept with its dead letter; the log has the rest, at the place that is named.
KEPT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One record of a log, as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None  # milliseconds since 1970
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the messages: jobs, dead letters to be, and partitions whose offset somebody else has moved."""

    jobs: int
    unreadable: int
    moved: dict[tuple[str, int], int]


def stored_offsets(*, source: str, topic: str) -> dict[int, int]:
    """The next offset to read of each partition of which one has been read."""
    return dict(KafkaOffset.objects.filter(source=source, topic=topic).values_list("partition", "next_offset"))


def take_messages(
    *,
    source: str,
    messages: Iterable[Message],
    expected: dict[tuple[str, int], int],
    handler: str,
    queue: str,
    envelope: Callable[[Message], str],
) -> Taken:
    """Enqueue messages as one batch and move the offsets of their partitions, all or nothing.

    `expected` says for each partition where this reader believes to be. A partition whose stored offset is
    another has been read by somebody else meanwhile: its messages are left alone and it is named in `moved`.
    Raises `EnqueueError` when the queue or handler cannot be used, or with `retry_after` when it takes no more now.
    """
    ordered = sorted(messages, key=attrgetter("topic", "partition", "offset"))
    with store.atomic():
        mine: list[Message] = []
        moved: dict[tuple[str, int], int] = {}
        for place, group in groupby(ordered, key=attrgetter("topic", "partition")):
            found = list(group)
            start = expected.get(place, found[0].offset)
            stored = _locked(source, place, start)
            if stored != start:
                moved[place] = stored
                continue
            mine += found
            KafkaOffset.objects.filter(source=source, topic=place[0], partition=place[1]).update(
                next_offset=found[-1].offset + 1, updated_at=Now()
            )
        jobs, bad = _enqueue(mine, handler, queue, envelope) if mine else (0, 0)
    return Taken(jobs, bad, moved)


def _locked(source: str, place: tuple[str, int], start: int) -> int:
    row, _created = KafkaOffset.objects.select_for_update().get_or_create(
        source=source, topic=place[0], partition=place[1], defaults={"next_offset": start}
    )
    return int(row.next_offset)


def _enqueue(messages: list[Message], handler: str, queue: str, envelope: Callable[[Message], str]) -> tuple[int, int]:
    lane = find_lane(handler, queue)
    good: list[tuple[Message, JsonText]] = []
    bad: list[tuple[Message, str]] = []
    for message in messages:
        try:
            # By the queue's own rules for payloads as well: one that breaks them must not stop the others.
            good.append((message, JsonText(codec.encode(JsonText(envelope(message)), lane.rules))))
        except (PayloadError, UnicodeDecodeError) as error:
            bad.append((message, str(error)))
    # One enqueue, which a queue with an enqueue rate takes whole or not at all; what cannot be read is not limited.
    jobs = _as_batch(good, handler, queue)
    for message, reason in bad:
        _keep(message, reason, lane)
    return jobs, len(bad)


def _as_batch(jobs: list[tuple[Message, JsonText]], handler: str, queue: str) -> int:
    if not jobs:
        return 0
    first, last = jobs[0][0], jobs[-1][0]
    name = f"{first.topic}/{first.partition}:{first.offset} to {last.partition}:{last.offset}"
    payloads = [payload for _message, payload in jobs]
    about: dict[str, Any] = {"name": name[-200:], "metadata": {"topic": first.topic}, "source": audit.SYSTEM}
    return enqueue_batch(handler, payloads, queue=queue, **about).total


def _keep(message: Message, reason: str, lane: QueueLane) -> None:
    insert_one(
        queue_id=lane.id,
        handler=UNREADABLE,
        priority=lane.priority,
        payload={
            "reason": reason[:1000],
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp": message.timestamp,
            "bytes": len(message.value or b""),
            "value_base64": base64.b64encode((message.value or b"")[:KEPT_BYTES]).decode(),
            "key_base64": base64.b64encode((message.key or b"")[:KEPT_BYTES]).decode(),
        },
    )


def whole_message(message: Message) -> str:
    """A message as JSON text with where it comes from; its value stays as it was written.

    Raises `UnicodeDecodeError` for bytes that are no UTF-8. A message without a value has null.
    """
    head = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp,
        "key": _text(message.key),
        "headers": [[name, _text(value)] for name, value in message.headers],
    }
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "value": {value_only(message)}}}'


def value_only(message: Message) -> str:
    """The message's value, which must be JSON; null when it has none."""
    return "null" if message.value is None else message.value.decode()


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()
