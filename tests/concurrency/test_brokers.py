"""The brokers of production, for real: Redis and RabbitMQ carry hints and rings, and nothing of ours stays in them."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from amqp.exceptions import NotFound
from kombu import Connection

from batchconsole.celery import CONTROL, HINT_SECONDS, WORK, app
from queues.models import ArchivedJob, Batch, Job, Queue, Worker
from queues.services import announce
from tests.checker import assert_sound
from tests.concurrency.crew import PROJECT, Trace, ended, other_connections, traced_queue
from tests.concurrency.test_celery_workers import celery
from tests.house.processes import python, running
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

URLS = {"redis": "redis://127.0.0.1:6379/15", "amqp": "amqp://guest:guest@127.0.0.1:5672//"}
EXCHANGES = (WORK, "celery.pidbox", "reply.celery.pidbox")
# All that Celery and kombu write into Redis for these two queues.
OUR_KEYS = re.compile(
    rf"_kombu\.binding(_\w+)?(\.({WORK}|celery\.pidbox|reply\.celery\.pidbox))?|{WORK}|{CONTROL}|unacked\w*|.*\.pidbox"
)
# One slot, under a name of its own: RabbitMQ refuses two workers of one name.
CONTROL_POOL = ("-P", "solo", "-n", "control@%h")
# How soon sending gives up, and a hint counts as lost, is shown elsewhere; here a busy machine is waited for.
PATIENT = """
import sys, django
django.setup()
from batchconsole import celery
from queues.services import announce
celery.PUBLISH_SECONDS = 10.0
celery.PUBLISH_LIMITS.clear()
announce.LOST_AFTER = 600.0
"""
ENQUEUE = f"""{PATIENT}
from django.db import transaction
from queues.services.enqueue import enqueue_batch
with transaction.atomic():
    batch = enqueue_batch("traced.quick", range(int(sys.argv[1])))
print(batch.pk)
"""
RING = f"{PATIENT}celery.app.send_task(sys.argv[1])"


@dataclass
class Broker:
    """One real broker, and the environment of the processes that use it."""

    url: str
    env: dict[str, str]

    def run(self, code: str, *arguments: str, url: str = "") -> str:
        """What a process that sends says."""
        env = self.env | {"CELERY_BROKER_URL": url or self.url}
        done = subprocess.run(
            python("-c", code, *arguments),
            cwd=PROJECT,
            env=env,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def enqueue(self, jobs: int, *, url: str = "") -> Batch:
        """A batch, handed in by another process."""
        return Batch.objects.get(pk=int(self.run(ENQUEUE, str(jobs), url=url)))

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""
        with Connection(self.url) as connection:
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
            except (NotFound, *connection.channel_errors):
                return 0

    @contextmanager
    def beat(self, log: Path) -> Iterator["Popen[str]"]:
        """The scheduler."""
        arguments = ["-m", "celery", "-A", "batchconsole.celery", "beat", "--loglevel=INFO", "--pidfile="]
        with running(python(*arguments), self.env, output=log) as process:
            yield process


@pytest.fixture(params=URLS)
def broker(request: pytest.FixtureRequest, worker_env: dict[str, str]) -> Iterator[Broker]:
    """Refuses to run where something of others would be in the way; leaves nothing."""
    url = URLS[request.param]
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=2).close()
    except OSError as error:
        pytest.skip(f"no {request.param} answers at {address.hostname}:{address.port}: {error}")
    clean = clean_redis if request.param == "redis" else clean_rabbit
    with clean(url):
        yield Broker(url, worker_env | {"CELERY_BROKER_URL": url, "BATCHCONSOLE_APPS": "tests.concurrency"})
        wait_for(lambda: not other_connections(), 10, "the workers' connections to end")


@contextmanager
def clean_redis(url: str) -> Iterator[None]:
    import redis

    def ours() -> list[str]:
        keys = [key.decode() for key in client.scan_iter()]
        if foreign := [key for key in keys if not OUR_KEYS.fullmatch(key)]:
            pytest.fail(f"{url} holds what is not ours, first {foreign[0]!r}: nothing is touched")
        return keys

    with redis.Redis.from_url(url) as client:
        for _turn in ("before", "after"):
            if keys := ours():
                client.delete(*keys)
            assert client.dbsize() == 0
            if _turn == "before":
                yield


@contextmanager
def clean_rabbit(url: str) -> Iterator[None]:
    with Connection(url) as connection:
        if there := [queue for queue in (WORK, CONTROL) if _exists(connection, "queue", queue)]:
            pytest.fail(f"{connection.as_uri()} has a queue {there[0]!r} already: nothing is touched")
        made = [name for name in EXCHANGES if not _exists(connection, "exchange", name)]
    yield
    with Connection(url) as connection, connection.channel() as channel:
        for queue in (WORK, CONTROL):
            channel.queue_delete(queue)
        for exchange in made:
            channel.exchange_delete(exchange)
    with Connection(url) as connection:
        assert not any(_exists(connection, "queue", queue) for queue in (WORK, CONTROL))
        assert not any(_exists(connection, "exchange", name) for name in made)


def _exists(connection: Connection, kind: str, name: str) -> bool:
    channel: Any = connection.channel()  # closed by the broker when the answer is no
    with suppress(NotFound):
        if kind == "queue":
            channel.queue_declare(name, passive=True)
        else:
            channel.exchange_declare(name, "direct", passive=True)
        channel.close()
        return True
    return False


def stopped(*processes: "Popen[str]") -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            assert process.wait(40) == 0
        except subprocess.TimeoutExpired:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            told = [f"{one.pid} {one.status()} {one.cmdline()} threads {one.num_threads()}" for one in family]
            pytest.fail("does not end:\n" + "\n".join(told))


def test_a_hint_alone_wakes_a_worker_and_a_ring_reaches_control(broker: Broker, trace: Trace, tmp_path: Path) -> None:
    traced_queue(chunk_size=50, archive_after=0)
    with celery(broker.env, trace, tmp_path / "work", WORK) as work:
        batch = broker.enqueue(2_000)
        wait_for(lambda: ended(batch), 40, "the hint to be answered")
        assert (batch.state, batch.succeeded, batch.dead) == ("completed", 2_000, 0)
        assert batch.queued_at is not None
        assert set(trace.jobs().values()) == {1} and trace.count() == 2_000
        control_log = tmp_path / "control"
        with celery(broker.env, trace, control_log, CONTROL, pool=CONTROL_POOL) as control:
            # By itself it would begin to archive after a minute.
            broker.run(RING, "queues.tasks.archive")
            wait_for(lambda: ArchivedJob.objects.count() == 2_000, 20, "the ring to be answered")
            stopped(work, control)
    assert Job.objects.count() == 0
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}
    assert (broker.waiting(WORK), broker.waiting(CONTROL)) == (0, 0)
    assert_sound()


def test_beat_hands_over_what_could_not_be_announced(broker: Broker, trace: Trace, tmp_path: Path) -> None:
    traced_queue(chunk_size=50)
    closed = broker.url.replace(f":{urlsplit(broker.url).port}", ":1")
    batch = broker.enqueue(2_000, url=closed)
    assert (batch.queued_at, Queue.objects.get().hinted_at) == (None, None)
    with ExitStack() as stack:
        beat = stack.enter_context(broker.beat(tmp_path / "beat"))
        wait_for(lambda: broker.waiting(CONTROL) > 0, 40, "beat to ring")
        control = stack.enter_context(celery(broker.env, trace, tmp_path / "control", CONTROL, pool=CONTROL_POOL))
        wait_for(lambda: broker.waiting(WORK) > 0, 20, "drive to hint")
        work = stack.enter_context(celery(broker.env, trace, tmp_path / "work", WORK))
        wait_for(lambda: ended(batch), 40, "the batch to end")
        stopped(beat, work, control)
    assert (batch.state, batch.succeeded) == ("completed", 2_000)
    assert batch.queued_at is not None
    assert set(trace.jobs().values()) == {1} and trace.count() == 2_000
    assert_sound()


def test_a_second_start_finds_the_queues_as_it_wants_them(broker: Broker, trace: Trace, tmp_path: Path) -> None:
    for turn in ("first", "second"):
        log = tmp_path / turn
        with celery(broker.env, trace, log, WORK, CONTROL) as worker:
            stopped(worker)
        assert not re.search("PRECONDITION|Traceback|ERROR", log.read_text()), log.read_text()
    # Senders declare the queues too, with the same limit; another one is what RabbitMQ refuses.
    assert broker.run(RING, "queues.tasks.drive") == ""
    wait_for(lambda: broker.waiting(CONTROL) == 1, 5, "the ring")
    if broker.url.startswith("amqp"):
        with Connection(broker.url) as connection:
            queue = app.amqp.queues[CONTROL](connection.channel())
            queue.queue_declare()
            queue.message_ttl = HINT_SECONDS + 1
            with pytest.raises(connection.channel_errors, match="x-message-ttl"):
                queue.queue_declare()


def test_nobody_is_told_twice(broker: Broker, trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hint at a time, also where the broker keeps it until a worker comes."""
    monkeypatch.setattr(announce, "LOST_AFTER", 600.0)
    traced_queue(chunk_size=50)
    broker.enqueue(100)
    broker.enqueue(100)
    assert broker.waiting(WORK) == 1
    assert announce.drive() == 0
