"""What every process that needs the embedded server does: hold the users' lock, and see that there is a keeper."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from batchconsole.embedded.places import EmbeddedError, Places
from batchconsole.locks import FileLock, holder_note
from batchconsole.logs import open_log
from batchconsole.pythonpath import child_environment

# Crash recovery replays up to `max_wal_size` of changes; on a slow disk that takes minutes.
START_SECONDS = 300.0
# A process that has had the server before rather fails than hangs: its request or its job has waited long enough.
RETURN_SECONDS = 15.0
TICK = 0.02
HURRY_SECONDS = 0.7
ALREADY_KEPT = 3  # exit code of a keeper that finds another one
PHASES = {
    "creating": "creating the database cluster",
    "starting": "starting PostgreSQL",
    "recovering": "PostgreSQL is recovering after a crash",
    "stopping": "waiting for PostgreSQL to stop",
}

# A keeper that says one of these holds the users' lock itself, until its process has ended.
ENDING = ("stopping", "stopped", "failed")

_held: dict[Path, FileLock] = {}
_guard = threading.Lock()


def ensure_running(home: Path, report: Callable[[str], None] = lambda _: None, timeout: float = START_SECONDS) -> None:
    """Return when the server of `home` accepts connections; it then stays until this process ends or calls `leave`.

    Starts it if need be. Safe to call again and from any thread; costs some 100 microseconds when it runs. `report`
    is told in words what is being waited for, once for each change.
    """
    places = Places.of(home)
    with _guard:
        limit = min(timeout, RETURN_SECONDS) if home in _held else timeout
        wait = _Wait(time.monotonic() + limit, report)
        if home not in _held:
            _held[home] = _users_lock(places, wait)
        started = False
        while not _answers(places, phase := _phase(places)):
            if phase is None:
                if started:
                    _raise_failure(places)
                started = _start_keeper(places)
            wait.tick(PHASES.get(phase or "", "starting PostgreSQL"))


def leave(home: Path) -> None:
    """Stop needing the server: if this was the last process that did, its keeper stops it."""
    with _guard:
        if lock := _held.pop(home, None):
            lock.close()


def keeper_pid(home: Path) -> int | None:
    """The process that runs the server of `home`, if there is one."""
    note = holder_note(Places.of(home).keeper_lock)
    return int(note.split()[0]) if note else None


def wait_stopped(home: Path, timeout: float) -> bool:
    """Wait until the server has stopped; False, soon, when it goes on because other processes use it."""
    places = Places.of(home)
    until = time.monotonic() + timeout
    # A keeper that has just found itself alone also looks like a user, until it says that it is stopping.
    doubt = time.monotonic() + 0.5
    while (phase := _phase(places)) is not None and time.monotonic() < until:
        if time.monotonic() > doubt and phase not in ENDING and _in_use(places):
            return False
        time.sleep(TICK)
    return phase is None


def in_use(home: Path) -> bool:
    """Whether any process uses the server of `home`, which therefore goes on."""
    places = Places.of(home)
    return _phase(places) not in (None, *ENDING) and _in_use(places)


def stop_soon(home: Path, until: float) -> None:
    """After `leave`: wait for the server to stop, unless others use it, and skip its last checkpoint when time is up.

    `until` is a moment of the monotonic clock. Nothing is lost without the checkpoint: the next start recovers.
    """
    if wait_stopped(home, until - time.monotonic() - HURRY_SECONDS):
        return
    if _phase(Places.of(home)) == "stopping" and (keeper := keeper_pid(home)):
        for _ in range(2):
            os.kill(keeper, signal.SIGTERM)
            time.sleep(TICK)
        wait_stopped(home, until - time.monotonic())


class _Wait:
    """A deadline that tells what is waited for."""

    def __init__(self, until: float, report: Callable[[str], None]) -> None:
        self.until = until
        self.report = report
        self.said = ""

    def tick(self, what: str) -> None:
        if what != self.said:
            self.said = what
            self.report(what)
        if time.monotonic() > self.until:
            raise EmbeddedError(f"gave up: {what} took too long")
        time.sleep(TICK)


def _users_lock(places: Places, wait: _Wait) -> FileLock:
    try:
        lock = FileLock(places.users_lock)
    except PermissionError as error:
        raise EmbeddedError(f"the embedded database belongs to another user: {error}") from None
    while not lock.try_shared():  # a keeper is just stopping: it has the lock alone until it has ended
        wait.tick(PHASES["stopping"])
    return lock


def _in_use(places: Places) -> bool:
    lock = FileLock(places.users_lock)
    try:
        return not lock.try_exclusive()
    finally:
        lock.close()


def _phase(places: Places) -> str | None:
    """The keeper's phase; None when there is no keeper."""
    note = holder_note(places.keeper_lock)
    if note is None:
        return None
    return [*note.split(), "", ""][1]


def _answers(places: Places, phase: str | None) -> bool:
    if phase != "ready":
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # The note of a keeper that was killed may outlive it for a moment.
        return probe.connect_ex(str(places.socket)) == 0


def _start_keeper(places: Places) -> bool:
    """Start one, which has its lock when this returns; False when somebody else was quicker."""
    with open_log(places.log) as log:
        done = subprocess.run(
            [sys.executable, "-m", "batchconsole.embedded.keeper", str(places.home)],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    if done.returncode not in (0, ALREADY_KEPT):
        raise EmbeddedError(f"the keeper of PostgreSQL does not start: see {places.log}")
    return done.returncode == 0


def _raise_failure(places: Places) -> None:
    """Pass on why the keeper that we started has given up, if it has."""
    first, _, detail = places.keeper_lock.read_text(errors="replace").partition("\n")
    if first.endswith(" failed"):
        raise EmbeddedError(detail)
