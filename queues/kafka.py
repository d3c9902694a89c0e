"""A Kafka topic as a source of jobs. PostgreSQL keeps the offsets: a message is enqueued exactly once.

Needs the extra `kafka` (confluent-kafka). What is read is collected until there is enough of it, by number, bytes
or time, and then taken in one transaction that also moves the offsets. The group's offsets in Kafka are only
told for lag monitors; they are never read.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from queues import store
from queues.services.feed import EnqueueError
from queues.services.take_messages import Message, stored_offsets, take_messages, whole_message

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

log = logging.getLogger(__name__)

T = TypeVar("T")

# Longest wait in one call of the client, so that a stop is noticed soon.
POLL = 0.25
# Pauses between tries while the database is away or the queue takes no more: doubled up to the second.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# The broker's own limit for a consumer that does not poll; beyond it the partitions go to another one.
MAX_POLL_MS = 300_000


class KafkaMissing(RuntimeError):
    """The client library is not installed."""


class KafkaFailed(RuntimeError):
    """Kafka says that there is no use in going on."""


class Stopped(Exception):
    """Asked to stop while waiting: what was collected is not taken, and will be read again."""


@dataclass(frozen=True, slots=True)
class Collect:
    """When what was read is taken: enough messages, enough bytes, or so many seconds after the first of them."""

    size: int = 100
    seconds: float = 5.0
    max_bytes: int = 1_048_576

    def __post_init__(self) -> None:
        from django.conf import settings

        if not 1 <= self.size <= settings.BATCH_MAX_JOBS:
            raise ValueError(f"size: 1 to {settings.BATCH_MAX_JOBS:,} messages, not {self.size}")
        if not 0 < self.seconds <= MAX_POLL_MS / 2000:
            raise ValueError(f"seconds: above 0, at most {MAX_POLL_MS // 2000}, not {self.seconds:g}")
        if not 1 <= self.max_bytes <= 64 * 1024 * 1024:
            raise ValueError(f"max_bytes: 1 to 64 MiB, not {self.max_bytes}")


@dataclass(slots=True)
class Counts:
    """What a source has done so far."""

    batches: int = 0
    jobs: int = 0
    unreadable: int = 0
    read_again: int = 0


@dataclass(slots=True)
class Source:
    """Reads one topic for one queue, as a member of a consumer group, until it is stopped."""

    topic: str
    group: str
    handler: str
    queue: str
    brokers: str
    collect: Collect = Collect()
    envelope: Callable[[Message], str] = whole_message
    options: dict[str, Any] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    stop: Event = field(default_factory=Event)
    _positions: dict[tuple[str, int], int] = field(default_factory=dict)
    _held: list[Message] = field(default_factory=list)
    _bytes: int = 0
    _since: float = 0.0
    _active: float = 0.0  # when something has last come, or partitions were assigned; 0: none were yet

    def run(self, *, until_idle: float | None = None) -> Counts:
        """Read and enqueue until `stop` is set, or nothing has come for `until_idle` seconds.

        Raises `KafkaMissing`, `KafkaFailed`, and `EnqueueError` when queue or handler cannot be used.
        """
        with self._consumer() as consumer, suppress(Stopped):
            while not self.stop.is_set():
                self._read(consumer)
                while self._due():
                    self._flush(consumer)
                if self._idle() > (until_idle or inf):
                    break
            while self._held:
                self._flush(consumer)
        return self.counts

    @contextmanager
    def _consumer(self) -> "Iterator[Consumer]":
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError:
            raise KafkaMissing("Kafka needs its client: pip install 'batchconsole[kafka]'") from None
        settings = {
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": MAX_POLL_MS,
            **self.options,
            "bootstrap.servers": self.brokers,
            "group.id": self.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        try:
            consumer = Consumer(settings, logger=log)
        except KafkaException as error:
            raise KafkaFailed(f"the client cannot be made: {error}") from None
        consumer.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            yield consumer
        finally:
            consumer.close()

    def _assigned(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        stored = self._persist(lambda: stored_offsets(source=self.group, topic=self.topic))
        for each in partitions:
            if each.partition in stored:
                each.offset = stored[each.partition]
                self._positions[each.topic, each.partition] = each.offset
        consumer.assign(partitions)
        self._active = monotonic()

    def _revoked(self, _consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        """What was collected of them is dropped: their next reader finds it, from the stored offset on."""
        for each in partitions:
            self._forget((each.topic, each.partition))

    def _forget(self, place: tuple[str, int]) -> None:
        self._positions.pop(place, None)
        self._hold([message for message in self._held if (message.topic, message.partition) != place])

    def _hold(self, messages: list[Message]) -> None:
        self._held = messages
        self._bytes = sum(map(_size, messages))

    def _idle(self) -> float:
        """Seconds without anything to do; none before partitions were assigned, which may take a while."""
        return 0.0 if self._held or not self._active else monotonic() - self._active

    def _read(self, consumer: "Consumer") -> None:
        wait = min(POLL, max(self._since + self.collect.seconds - monotonic(), 0.0)) if self._held else POLL
        found = consumer.consume(self.collect.size - len(self._held), timeout=wait)
        for raw in found:
            error = raw.error()
            if error is not None:
                if error.fatal():
                    raise KafkaFailed(str(error))
                log.warning("Kafka: %s", error)
                continue
            message = Message(
                str(raw.topic()),
                int(raw.partition() or 0),
                int(raw.offset() or 0),
                _bytes(raw.key()),
                _bytes(raw.value()),
                raw.timestamp()[1] if raw.timestamp()[0] else None,
                tuple((name, _bytes(value)) for name, value in cast(Any, raw.headers()) or ()),
            )
            if not self._held:
                self._since = monotonic()
            self._held.append(message)
            self._bytes += _size(message)
        if found:
            self._active = monotonic()

    def _due(self) -> bool:
        return bool(self._held) and (
            len(self._held) >= self.collect.size
            or self._bytes >= self.collect.max_bytes
            or monotonic() >= self._since + self.collect.seconds
        )

    def _enough(self) -> list[Message]:
        """The first of what is held: those that together reach the bytes."""
        total = 0
        for number, message in enumerate(self._held, 1):
            total += _size(message)
            if total >= self.collect.max_bytes:
                return self._held[:number]
        return self._held

    def _flush(self, consumer: "Consumer") -> None:
        from confluent_kafka import TopicPartition

        messages = self._enough()
        taken = self._persist(
            lambda: take_messages(
                source=self.group,
                messages=messages,
                expected=self._positions,
                handler=self.handler,
                queue=self.queue,
                envelope=self.envelope,
            )
        )
        self._hold(self._held[len(messages) :])
        self.counts.batches += bool(taken.jobs)
        self.counts.jobs += taken.jobs
        self.counts.unreadable += taken.unreadable
        for message in messages:
            place = message.topic, message.partition
            self._positions[place] = taken.moved.get(place, message.offset + 1)
        for (topic, partition), offset in taken.moved.items():
            log.warning("%s/%s has been read elsewhere up to %s: going on from there", topic, partition, offset)
            self.counts.read_again += 1
            consumer.seek(TopicPartition(topic, partition, offset))
        self._tell(consumer, {(m.topic, m.partition) for m in messages})

    def _tell(self, consumer: "Consumer", places: set[tuple[str, int]]) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        offsets = [TopicPartition(topic, partition, self._positions[topic, partition]) for topic, partition in places]
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # only monitors of lag miss it
            log.info("offsets were not told to Kafka: %s", error)

    def _persist(self, work: Callable[[], T]) -> T:
        """Do it; again while the database is away or the queue takes no more, for as long as it takes."""
        pause = FIRST_PAUSE
        while True:
            try:
                return work()
            except store.CONNECTION_ERRORS as error:
                store.reset()
                log.warning("the database is away, trying again: %s", error)
                wait = pause
            except EnqueueError as error:
                wait = getattr(error, "retry_after", None) or 0.0
                if not wait:
                    raise
                log.info("the queue takes no more for %.1f s", wait)
            if self.stop.wait(min(wait, LONGEST_PAUSE)):
                raise Stopped
            pause = min(pause * 2, LONGEST_PAUSE)


def _size(message: Message) -> int:
    return len(message.value or b"") + len(message.key or b"")


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
