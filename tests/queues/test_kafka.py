"""Kafka as a source, on the mock cluster that the client library brings along: a real broker protocol, no server."""

import base64
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from queues.kafka import Collect, Source
from queues.models import Batch, DeadLetter, Job, KafkaOffset
from queues.services.feed import EnqueueError
from queues.services.take_messages import Message, take_messages, value_only, whole_message
from tests.checker import assert_sound
from tests.house.processes import python, running
from tests.queues.working import drain, make_queue
from tests.waiting import wait_for

kafka = pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.django_db(transaction=True)

QUIET = {"test.mock.num.brokers": 1, "log_level": 0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Any, str]]:
    """A producer, in whose client the mock cluster lives, and the cluster's address."""
    producer = kafka.Producer(QUIET)
    found = producer.list_topics(timeout=10).brokers.values()
    yield producer, ",".join(f"{broker.host}:{broker.port}" for broker in found)
    producer.flush(10)


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("[", ".").replace("]", "")


@pytest.fixture
def source(cluster: tuple[Any, str], topic: str) -> Callable[..., Source]:
    def made(**changed: Any) -> Source:
        options = {"session.timeout.ms": "4000", "heartbeat.interval.ms": "500", "log_level": "0"}
        given = {"topic": topic, "group": "readers", "handler": "tested.do", "queue": "tested", "brokers": cluster[1]}
        return Source(**{**given, "options": options, **changed})

    return made


def produce(cluster: tuple[Any, str], topic: str, values: list[bytes | None], **where: Any) -> None:
    for value in values:
        cluster[0].produce(topic, value, **{"partition": 0, **where})
    assert cluster[0].flush(10) == 0


def payloads() -> list[Any]:
    return [json.loads(text) for text in Job.objects.order_by("pk").values_list("payload", flat=True)]


def test_messages_become_jobs_with_their_place(
    cluster: tuple[Any, str], topic: str, source: Callable[..., Source]
) -> None:
    make_queue()
    produce(
        cluster, topic, [b'{"price": 1.10}', None], key=b"k", headers=[("trace", b"7")], timestamp=1_700_000_000_000
    )
    counts = source(collect=Collect(seconds=0.2)).run(until_idle=3)
    assert (counts.jobs, counts.unreadable) == (2, 0)
    first, second = Job.objects.order_by("pk").values_list("payload", flat=True)
    assert '"value": {"price": 1.10}' in first, "numbers stay as they were written"
    assert json.loads(first) == {
        "topic": topic,
        "partition": 0,
        "offset": 0,
        "timestamp": 1_700_000_000_000,
        "key": "k",
        "headers": [["trace", "7"]],
        "value": {"price": 1.1},
    }
    assert json.loads(second)["value"] is None
    offset = KafkaOffset.objects.get()
    assert (offset.source, offset.topic, offset.partition, offset.next_offset) == ("readers", topic, 0, 2)
    assert Batch.objects.get().metadata == {"topic": topic}
    assert_sound()


@pytest.mark.parametrize(
    ("collect", "batches"),
    [
        (Collect(size=4, seconds=30), [4, 4, 2]),
        (Collect(size=100, max_bytes=50, seconds=30), [5, 5]),
        (Collect(size=100, seconds=0.5), [10]),
    ],
    ids=["size", "bytes", "time"],
)
def test_enough_messages_bytes_or_time_make_a_batch(
    collect: Collect, batches: list[int], cluster: tuple[Any, str], topic: str, source: Callable[..., Source]
) -> None:
    make_queue()
    produce(cluster, topic, [b'"12345678"'] * 10)
    _until(source(collect=collect, envelope=value_only), 10)
    assert sorted(Batch.objects.values_list("total", flat=True), reverse=True) == batches


def _until(source: Source, jobs: int) -> None:
    """Run it until all has been read, then stop it: what it still collects is taken on the way out."""

    def work() -> None:
        try:
            source.run()
        finally:
            connections.close_all()

    thread = Thread(target=work)
    thread.start()
    wait_for(lambda: Job.objects.count() + len(source._held) == jobs, 20, "all messages to be read")
    source.stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_the_stored_offset_counts_not_the_groups(
    cluster: tuple[Any, str], topic: str, source: Callable[..., Source]
) -> None:
    make_queue()
    produce(cluster, topic, [str(n).encode() for n in range(10)])

    def read_all() -> int:
        """Until all is taken; a busy machine may take longer than a source is told to wait for more."""
        jobs = 0
        for _ in range(20):
            jobs += source(collect=Collect(seconds=0.2), envelope=value_only).run(until_idle=0.7).jobs
            if KafkaOffset.objects.filter(next_offset=10).exists():
                break
        return jobs

    assert read_all() == 10
    KafkaOffset.objects.update(next_offset=6)
    assert read_all() == 4
    assert payloads() == [*range(10), 6, 7, 8, 9]
    assert KafkaOffset.objects.get().next_offset == 10


def message(offset: int, value: bytes = b"1") -> Message:
    return Message("t", 0, offset, None, value, None)


def take(*messages: Message, expected: int | None = None, queue: str = "tested") -> Any:
    places = {} if expected is None else {("t", 0): expected}
    return take_messages(
        source="g", messages=messages, expected=places, handler="tested.do", queue=queue, envelope=whole_message
    )


def test_a_reader_that_was_replaced_takes_nothing() -> None:
    make_queue()
    assert take(message(0), message(1)).jobs == 2
    late = take(message(0), message(1))
    assert (late.jobs, late.moved) == (0, {("t", 0): 2})
    ahead = take(message(5), expected=5)
    assert (ahead.jobs, ahead.moved) == (0, {("t", 0): 2})
    gap = take(message(4), expected=2)  # the log has been compacted
    assert (gap.jobs, gap.moved) == (1, {})
    assert (Job.objects.count(), KafkaOffset.objects.get().next_offset) == (3, 5)


def test_what_cannot_be_a_job_becomes_a_dead_letter() -> None:
    make_queue()
    taken = take(message(0), message(1, b"{broken"), message(2, b"\xff\xfe"), message(3, b"3"))
    assert (taken.jobs, taken.unreadable) == (2, 2)
    drain()
    dead = DeadLetter.objects.order_by("job_id")
    assert [letter.reason for letter in dead] == ["rejected by its handler"] * 2
    assert "not JSON" in dead[0].message
    kept = json.loads(Job.objects.get(pk=dead[0].job_id).payload)
    assert (kept["topic"], kept["partition"], kept["offset"]) == ("t", 0, 1)
    assert base64.b64decode(kept["value_base64"]) == b"{broken"
    assert KafkaOffset.objects.get().next_offset == 4
    assert_sound()


def test_nothing_moves_when_the_queue_cannot_be_used() -> None:
    make_queue()
    with pytest.raises(EnqueueError, match="unknown queue 'nosuch'"):
        take(message(0), queue="nosuch")
    assert not KafkaOffset.objects.exists()
    assert not Job.objects.exists()


def test_killed_again_and_again_each_message_is_a_job_once(
    cluster: tuple[Any, str], topic: str, worker_env: dict[str, str]
) -> None:
    make_queue()
    for partition in range(4):
        produce(cluster, topic, [str(n).encode() for n in range(500)], partition=partition)
    command = ["manage.py", "consume_kafka", topic, "--brokers", cluster[1], "--handler", "traced.quick"]
    command += ["--queue", "tested", "--size", "7", "--seconds", "0.05", "--option", "session.timeout.ms=4000"]
    command += ["--option", "heartbeat.interval.ms=500"]
    env = worker_env | {"BATCHCONSOLE_APPS": "tests.concurrency"}
    draw = random.Random(7)
    kills = 0
    while kills < 3:
        before = Job.objects.count()
        with running(python(*command), env) as process:
            wait_for(lambda before=before: Job.objects.count() > before, 40, "jobs to come in")
            Event().wait(draw.uniform(0, 0.15))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            kills += 1
    with running(python(*command), env) as process:
        wait_for(lambda: Job.objects.count() >= 2_000, 60, "all messages")
        process.terminate()
        assert process.wait(20) == 0
    found = [(each["partition"], each["offset"]) for each in payloads()]
    assert len(found) == len(set(found)) == 2_000
    assert set(KafkaOffset.objects.values_list("next_offset", flat=True)) == {500}
    assert_sound()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--handler", "no.such"], "unknown handler 'no.such'"),
        (["--handler", "tested.do", "--queue", "nosuch"], "unknown queue 'nosuch'"),
        (["--handler", "tested.do", "--size", "10001"], "size: 1 to 10,000 messages"),
        (["--handler", "tested.do", "--seconds", "nan"], "seconds: above 0"),
        (["--handler", "tested.do", "--option", "no.such=1"], "the client cannot be made: .*no.such"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], text: str) -> None:
    make_queue()
    with pytest.raises(CommandError, match=text):
        call_command("consume_kafka", "t", "--brokers", "127.0.0.1:1", *arguments)
