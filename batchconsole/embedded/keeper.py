"""The process that runs the embedded server for as long as anybody uses it.

`python -m batchconsole.embedded.keeper HOME` takes the keeper's lock, goes to the background (leaving with 0, or with
ALREADY_KEPT when another keeper has it), and keeps its phase as the text of the lock file: `PID PHASE`, and in a
second line what went wrong. SIGTERM stops the server although it is in use; a second one does not wait.
"""

import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

from batchconsole.embedded.client import ALREADY_KEPT
from batchconsole.embedded.places import EmbeddedError, Places
from batchconsole.embedded.server import Server
from batchconsole.locks import FileLock
from batchconsole.logs import open_log, shorten

TICK = 0.1
LONGEST_PAUSE = 5.0
# Starts that fail in a row before any was ready: enough for the backends of a killed server to let go of its memory.
STARTS_TO_TRY = 5
FAST_STOP_SECONDS = 120.0


class Keeper:
    """Starts, watches, restarts and stops one server."""

    def __init__(self, places: Places, own_lock: FileLock) -> None:
        """`own_lock` is held already."""
        self.places = places
        self.own_lock = own_lock
        self.users = FileLock(places.users_lock)
        self.stop_signals = 0
        self.failed_starts = 0
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)

    def run(self) -> None:
        """Keep the server until nobody needs it; the phase of a failure stays readable in the lock file."""
        try:
            self._keep(Server(self.places))
        except EmbeddedError as error:
            self.phase("failed", str(error))
        except Exception as error:
            traceback.print_exc()
            self.phase("failed", f"{type(error).__name__}: {error}")
        else:
            self.phase("stopped")
        with suppress(OSError):
            self.places.sockets.rmdir()  # where the home's path is too long it is in /tmp: leave nothing there

    def phase(self, name: str, detail: str = "") -> None:
        """Say where we are."""
        self.own_lock.note(f"{os.getpid()} {name}\n{detail}")

    def leaving(self) -> bool:
        """Whether to stop: told to, or alone. Once alone it stays so, because newcomers wait for the users' lock."""
        if not self.stop_signals and not self.users.try_exclusive():
            return False
        self.phase("stopping")
        return True

    def _keep(self, server: Server) -> None:
        if not server.exists():
            self.phase("creating")
            server.create()
        self._end_orphan(server)
        while not self.leaving():
            self.phase("recovering" if server.left_behind() else "starting")
            log = open_log(self.places.log)
            process = server.start(log)
            log.close()
            self._watch(server, process)
            if process.poll() is None:
                self._stop(process)
                return
            self._pause_after_failure()

    def _watch(self, server: Server, process: "Popen[bytes]") -> None:
        """Return when the server has ended or is no longer needed."""
        ready = False
        while process.poll() is None and not self.leaving():
            if not ready and server.state(process.pid) == "ready":
                ready = True
                self.failed_starts = 0
                self.phase("ready")
            shorten(self.places.log)
            time.sleep(TICK if ready else TICK / 5)

    def _pause_after_failure(self) -> None:
        self.failed_starts += 1
        if self.failed_starts >= STARTS_TO_TRY:
            raise EmbeddedError(f"PostgreSQL does not start, its log {self.places.log} ends: {self._last_words()}")
        self.phase("starting")
        until = time.monotonic() + min(LONGEST_PAUSE, TICK * 2**self.failed_starts)
        while time.monotonic() < until and not self.leaving():
            time.sleep(TICK)

    def _stop(self, process: "Popen[bytes]") -> None:
        """Fast shutdown: sessions are ended, a checkpoint is written. Then without the checkpoint, then by force."""
        told = self.stop_signals
        process.send_signal(signal.SIGINT)
        until = time.monotonic() + FAST_STOP_SECONDS
        while process.poll() is None and time.monotonic() < until and self.stop_signals <= max(told, 1):
            time.sleep(TICK / 2)
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
        try:
            process.wait(timeout=10)
        except TimeoutExpired:
            process.kill()
            process.wait()

    def _end_orphan(self, server: Server) -> None:
        """A server without keeper is never adopted: it would not end with us."""
        if pid := server.orphan():
            self.phase("recovering")
            os.kill(pid, signal.SIGINT)
            until = time.monotonic() + FAST_STOP_SECONDS
            while server.orphan() == pid and time.monotonic() < until:
                time.sleep(TICK)

    def _last_words(self) -> str:
        lines = self.places.log.read_text(errors="replace").splitlines()
        return " / ".join(line.partition("] ")[2] or line for line in lines[-2:])

    def _on_stop(self, *_: object) -> None:
        self.stop_signals += 1


def main() -> int:
    """Take the lock, then leave the caller with a process that has it."""
    places = Places.of(Path(sys.argv[1]))
    lock = FileLock(places.keeper_lock)
    if not lock.try_exclusive():
        return ALREADY_KEPT
    lock.note("")
    if os.fork():
        os._exit(0)
    os.umask(0o022)
    os.chdir("/")
    keeper = Keeper(places, lock)
    keeper.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
