"""The embedded PostgreSQL, with real processes that come, go and are killed."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen

import psutil
import psycopg
import pytest

from batchconsole import embedded
from batchconsole.embedded import Places
from batchconsole.locks import FileLock
from tests.house.processes import processes_with, python, running
from tests.waiting import wait_for

# A process that needs the database until its standard input ends.
USER = """
import sys
from pathlib import Path
from batchconsole import embedded
try:
    embedded.ensure_running(Path(sys.argv[1]))
except embedded.EmbeddedError as error:
    print(error, flush=True)
else:
    print("ready", flush=True)
    sys.stdin.read()
"""


class Home:
    """One home and the processes that use it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.places = Places.of(path)
        self.stack = stack

    def user(self) -> "Popen[str]":
        """Start a process that uses the server; `answer` waits until it can."""
        return self.stack.enter_context(running(python("-c", USER, str(self.path)), dict(os.environ)))

    def ready_user(self) -> "Popen[str]":
        process = self.user()
        assert answer(process) == "ready"
        return process

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        values = embedded.embedded_database(self.path)
        return psycopg.connect(host=values["HOST"], dbname=values["NAME"], user=values["USER"], autocommit=True)

    def one(self, statement: str) -> object:
        with self.connect() as connection:
            row = connection.execute(statement).fetchone()
            assert row
            return row[0]

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.places.data / "postmaster.pid").read_text().split()[0]))

    def stopped(self) -> bool:
        return embedded.keeper_pid(self.path) is None and not processes_with(str(self.places.data))


def answer(process: "Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def leave(process: "Popen[str]") -> None:
    assert process.stdin
    process.stdin.close()
    process.wait(10)


@pytest.fixture
def server() -> Iterator[Home]:
    """A home whose server is stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bc-embedded-")).resolve()
    with ExitStack() as stack:
        home = Home(folder / "home", stack)
        yield home
    wait_for(home.stopped, 60, "the server to stop")
    shutil.rmtree(home.places.base, ignore_errors=True)
    shutil.rmtree(folder)


def test_the_settings_touch_nothing(tmp_path: Path) -> None:
    assert embedded.embedded_database(tmp_path / "home")["HOST"]
    assert list(tmp_path.iterdir()) == []


def test_the_last_one_out_stops_it(server: Home) -> None:
    first, second = server.ready_user(), server.ready_user()
    leave(first)
    assert server.one("SELECT 1") == 1
    assert embedded.keeper_pid(server.path)
    leave(second)
    wait_for(server.stopped, 30, "the server to stop")
    assert not server.places.socket.exists()
    # The next one starts it again, with what was there.
    server.ready_user()
    assert server.one("SELECT 1") == 1


def test_a_killed_user_needs_it_no_longer(server: Home) -> None:
    server.ready_user().kill()
    wait_for(server.stopped, 30, "the server to stop")


def test_first_starts_at_the_same_time_share_one_server(server: Home) -> None:
    users = [server.user() for _ in range(4)]
    assert [answer(user) for user in users] == ["ready"] * 4
    assert len(processes_with(f"embedded.keeper {server.path}")) == 1
    for user in users:
        leave(user)


def test_a_killed_server_is_started_again_with_all_that_was_committed(server: Home) -> None:
    server.ready_user()
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    killed = server.postmaster()
    killed.send_signal(signal.SIGKILL)

    wait_for(lambda: not killed.is_running(), 10, "the kill")
    server.ready_user()
    assert server.one("SELECT count(*) FROM kept") == 1000
    assert server.postmaster().pid != killed.pid


def test_a_killed_keeper_takes_its_server_with_it(server: Home) -> None:
    server.ready_user()
    old = server.postmaster()
    keeper = embedded.keeper_pid(server.path)
    assert keeper
    os.kill(keeper, signal.SIGKILL)
    # Whoever looks before the kernel has told the old server still finds it ready.
    wait_for(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE, 60, "the old server to stop")
    server.ready_user()
    assert server.one("SELECT 1") == 1
    assert server.postmaster().pid != old.pid


def test_all_killed_at_once_recovers(server: Home) -> None:
    user = server.ready_user()
    keeper = embedded.keeper_pid(server.path)
    assert keeper
    victims = [psutil.Process(keeper), server.postmaster(), *server.postmaster().children()]
    for victim in victims:
        with suppress(psutil.NoSuchProcess):  # a child that has seen its parent go is gone already
            victim.kill()
    user.kill()
    server.ready_user()
    assert server.one("SELECT 1") == 1


@pytest.mark.parametrize("content", ["", "not a number\n", "{pid}\n/elsewhere\n1\n5432\n\n\n0 0\nready\n"])
def test_a_stale_pid_file_does_not_stop_it(server: Home, content: str) -> None:
    leave(server.ready_user())
    wait_for(server.stopped, 30, "the server to stop")
    # The number of the file belongs to another program of the server's own user: postgres alone would not start.
    owner = server.places.data.stat().st_uid
    stranger = Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    try:
        (server.places.data / "postmaster.pid").write_text(content.format(pid=stranger.pid))
        server.ready_user()
        assert server.one("SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_another_major_version_is_refused(server: Home) -> None:
    leave(server.ready_user())
    wait_for(server.stopped, 30, "the server to stop")
    (server.places.data / "PG_VERSION").write_text("17\n")
    said = answer(server.user())
    assert "made by PostgreSQL 17" in said
    assert str(server.places.data) in said


def test_a_server_that_cannot_start_says_why(server: Home) -> None:
    leave(server.ready_user())
    wait_for(server.stopped, 30, "the server to stop")
    (server.places.data / "postgresql.auto.conf").write_text("shared_buffers = 'a lot'\n")
    assert "shared_buffers" in answer(server.user())


def test_it_is_durable_and_private(server: Home) -> None:
    server.ready_user()
    assert server.one("SHOW fsync") == server.one("SHOW synchronous_commit") == "on"
    assert server.one("SHOW listen_addresses") == ""
    assert server.one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    for folder in (server.places.sockets, server.places.data):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_socket_folder_of_somebody_else_is_refused(server: Home) -> None:
    leave(server.ready_user())
    wait_for(server.stopped, 30, "the server to stop")
    server.places.sockets.mkdir()
    server.places.sockets.chmod(0o777)
    assert "belongs to user" in answer(server.user())


def test_stopping_by_force_does_not_wait_for_users(server: Home) -> None:
    server.ready_user()
    keeper = embedded.keeper_pid(server.path)
    assert keeper
    with server.connect():
        os.kill(keeper, signal.SIGTERM)
        wait_for(server.stopped, 5, "the server to stop")


@pytest.mark.parametrize("phase", ["stopping", "stopped", "failed"])
def test_a_keeper_at_its_end_is_no_user(server: Home, phase: str) -> None:
    """It holds the users' lock until its process has gone, which may take longer than the doubt about it."""
    keeper, users = FileLock(server.places.keeper_lock), FileLock(server.places.users_lock)
    assert keeper.try_exclusive() and users.try_exclusive()
    keeper.note(f"{os.getpid()} {phase}\n")
    assert not embedded.in_use(server.path)
    end = threading.Timer(0.8, lambda: (users.close(), keeper.close()))
    end.start()
    assert embedded.wait_stopped(server.path, timeout=20)
    end.join()
