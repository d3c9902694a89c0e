"""The broker of files: nothing half, nothing twice, and nothing that ends a worker."""

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from django.conf import settings
from kombu import Connection, Exchange, Queue

from batchconsole import broker
from batchconsole.celery import WORK
from tests.house.processes import python, running
from tests.house.ringing.tasks import mark, until_shutdown
from tests.waiting import wait_for

QUEUE = Queue("parcels", Exchange("parcels", type="direct"), routing_key="parcels")


@contextmanager
def connected(home: Path) -> Iterator[Connection]:
    with Connection(broker.URL, transport_options=broker.transport_options(home)) as connection:
        yield connection


def send(connection: Connection, *bodies: object) -> None:
    with connection.Producer() as producer:
        for body in bodies:
            producer.publish(body, exchange=QUEUE.exchange, routing_key="parcels", declare=[QUEUE])


def received(connection: Connection) -> list[object]:
    queue = QUEUE(connection.default_channel)
    queue.declare()
    bodies = []
    while message := queue.get(no_ack=True):
        bodies.append(message.payload)
    return bodies


def messages(home: Path) -> Path:
    return home / "broker" / "messages"


def test_messages_arrive_once_and_in_order(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        send(connection, *range(20))
        assert received(connection) == list(range(20))
        assert received(connection) == []
    assert list(messages(tmp_path).iterdir()) == []


def test_several_readers_share_the_messages(tmp_path: Path) -> None:
    taken: list[object] = []

    def read() -> None:
        with connected(tmp_path) as connection:
            taken.extend(received(connection))

    with connected(tmp_path) as connection:
        send(connection, *range(200))
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert sorted(taken, key=int) == list(range(200))  # type: ignore[call-overload]


def spoil(folder: Path, queue: str) -> None:
    """Put all that is no message before those that are."""
    spoiled = {
        "0-empty": b"",
        "1-half": b'{"body": "W1',
        "2-list": b"[1, 2]",
        "3-bare": b"{}",
        "4-bytes": b"\xff\x00",
        "5-body": b'{"body": 5, "properties": {"body_encoding": "base64", "delivery_tag": "1"}}',
    }
    for name, content in spoiled.items():
        (folder / f"{name}.{queue}.msg").write_bytes(content)
    (folder / f"6-folder.{queue}.msg").mkdir()


def test_what_is_no_message_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with connected(tmp_path) as connection:
        send(connection, "good")
        spoil(messages(tmp_path), "parcels")
        assert received(connection) == ["good"]
    assert sum("Dropped" in record.getMessage() for record in caplog.records) == 7


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # Its address is too short for a long path.
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory() as short:
        server.bind(f"{short}/s")
        Path(f"{short}/s").rename(path)


def _link_to_a_pipe(path: Path) -> None:
    _pipe(path.with_name("aside"))
    path.symlink_to("aside")


@pytest.mark.parametrize("make", [_pipe, _socket, Path.mkdir, _link_to_a_pipe])
def test_what_is_no_file_holds_nobody_up(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(tmp_path) as connection:
        send(connection, "first")
        make(messages(tmp_path) / "0-odd.parcels.msg")
        bodies: list[object] = []
        reader = threading.Thread(target=lambda: bodies.extend(received(connection)), daemon=True)
        reader.start()
        reader.join(10)
        assert bodies == ["first"]
        assert received(connection) == []
    assert [record.getMessage() for record in caplog.records if "Dropped" in record.getMessage()] == [
        f"Dropped an unreadable message, 0-odd.parcels.msg.{os.getpid()}.taken: ValueError('it is not a regular file')"
    ]


def test_a_pipe_among_the_bindings_holds_nobody_up(tmp_path: Path) -> None:
    control = tmp_path / "broker" / "control"
    control.mkdir(parents=True)
    _pipe(control / "parcels.exchange")
    _pipe(control / "lock")

    def exchange() -> None:
        with connected(tmp_path) as connection:
            send(connection, "kept")
            bodies.extend(received(connection))

    bodies: list[object] = []
    both = threading.Thread(target=exchange, daemon=True)
    both.start()
    both.join(10)
    assert bodies == ["kept"]


def test_a_removed_folder_is_made_again_and_what_was_bound_still_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(tmp_path) as sender, connected(tmp_path) as reader:
        send(sender, "lost")
        queue = QUEUE(reader.default_channel)
        queue.declare()
        shutil.rmtree(tmp_path / "broker")
        for _look in range(5):
            assert queue.get(no_ack=True) is None
        assert [record.getMessage() for record in caplog.records] == [
            f"{messages(tmp_path)} has gone; it is made again"
        ]
        with connected(tmp_path) as stranger, stranger.Producer() as producer:  # knows no binding of its own
            producer.publish("from a stranger", exchange=QUEUE.exchange, routing_key="parcels")
        message = queue.get(no_ack=True)
        assert message and message.payload == "from a stranger"
        shutil.rmtree(tmp_path / "broker")
        with sender.Producer() as producer:  # before any reader has looked
            producer.publish("kept", exchange=QUEUE.exchange, routing_key="parcels")
        message = queue.get(no_ack=True)
        assert message and message.payload == "kept"


def test_a_folder_that_cannot_be_used_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with connected(tmp_path) as connection:
        send(connection, "lost")
        shutil.rmtree(tmp_path / "broker")
        (tmp_path / "broker").write_text("no folder")
        queue = QUEUE(connection.default_channel)
        for _look in range(5):
            assert queue.get(no_ack=True) is None
        assert sum("cannot be used" in record.getMessage() for record in caplog.records) == 1
        (tmp_path / "broker").unlink()
        assert queue.get(no_ack=True) is None
        send(connection, "kept")
        message = queue.get(no_ack=True)
        assert message and message.payload == "kept"


def test_what_nobody_takes_is_removed_by_those_who_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(tmp_path) as connection:
        send(connection, *range(5))
        (messages(tmp_path) / "foreign").write_text("not ours")
        (messages(tmp_path) / f"{1:020d}_killed.parcels.msg.7.taken").write_text("")
        monkeypatch.setattr(broker, "MESSAGE_SECONDS", 0.0)
    with connected(tmp_path) as connection:
        send(connection, "last")
        left = sorted(path.name for path in messages(tmp_path).iterdir())
        assert left == ["foreign"], "the last one too has waited 0 s"
        monkeypatch.setattr(broker, "MESSAGE_SECONDS", 60.0)
        send(connection, "kept")
        assert received(connection) == ["kept"]


def test_a_spoiled_table_of_bindings_is_made_anew(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        send(connection, "first")
        (tmp_path / "broker" / "control" / "parcels.exchange").write_bytes(b"")
    with connected(tmp_path) as connection:
        send(connection, "second")
        assert received(connection) == ["first", "second"]


def test_the_temp_folder_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kombu's own transport moves messages through it, and loses them when it is another filesystem, or full."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        other = Path("/nonexistent")
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    with connected(tmp_path) as connection:
        send(connection, "kept")
        assert received(connection) == ["kept"]


def test_it_is_emptied(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        send(connection, 1, 2, 3)
    assert broker.empty_broker(tmp_path) >= 3
    with connected(tmp_path) as connection:
        assert received(connection) == []
        send(connection, 4)
        assert received(connection) == [4]
    assert broker.empty_broker(tmp_path / "never used") == 0


@contextmanager
def worker(env: dict[str, str], log: Path) -> Iterator["Popen[str]"]:
    arguments = ["-m", "celery", "-A", "batchconsole.celery", "worker", "-Q", WORK, "-c", "2", "-l", "INFO"]
    env = env | {"BATCHCONSOLE_APPS": "tests.house.ringing"}
    with running(python(*arguments, "--without-gossip", "--without-mingle"), env, output=log) as process:
        wait_for(lambda: "ready." in log.read_text(), 60, "the worker")
        yield process


def test_a_real_worker_survives_what_is_no_message(worker_env: dict[str, str], tmp_path: Path) -> None:
    log, trace = tmp_path / "log", tmp_path / "trace"
    with worker(worker_env, log) as process:
        spoil(messages(settings.HOME), WORK)
        wait_for(lambda: log.read_text().count("Dropped") == 7, 10, "the worker to drop them")
        mark.delay(str(trace))
        wait_for(trace.exists, 10, "the task")
        assert process.poll() is None
    shutil.rmtree(messages(settings.HOME))
    messages(settings.HOME).mkdir()  # this process has made it once, and does not look again


def test_a_shutdown_reaches_the_children_of_the_pool(worker_env: dict[str, str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with worker(worker_env, tmp_path / "log") as process:
        until_shutdown.delay(str(trace))
        wait_for(Path(f"{trace}.started").exists, 10, "the task to start")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
    assert trace.read_text() == "True"
