"""Runs the processes of `manage.py up`: starts them, starts them again, and leaves none behind.

Each child leads a session of its own, so that Ctrl-C reaches only us and we decide the order of stopping, and so that
its whole group can be killed, grandchildren included. The kernel ends the children when we are killed (on Linux).
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batchconsole.die_with_parent import command
from batchconsole.logs import BoundedLog
from batchconsole.pythonpath import child_environment

IMPORTANT = re.compile(rb"\b(ERROR|CRITICAL)\b")
ECHO_LIMIT, ECHO_SECONDS = 5, 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
# A child that has run this long was healthy: the next pause is the first one again.
STABLE_SECONDS = 30.0
TICK = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """What to run, under which name, until when after the start of stopping it may take to end by itself, and the
    words in its output that tell that it has started."""

    name: str
    arguments: Sequence[str]
    stop_within: float
    ready_words: bytes = b""


class Child:
    """One program, over all its restarts."""

    def __init__(self, program: Program, logs: Path, say: Say) -> None:
        """Nothing runs yet."""
        self.program = program
        self.say = say
        self.log_path = logs / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.last_words = ""
        self.deaths = 0  # in a row
        self.started_at = 0.0
        self.start_again_at = 0.0

    def start(self) -> None:
        """Start it; must be called in the main thread, whose end the kernel takes for the parent's."""
        self.started_at = time.monotonic()
        self.ready = not self.program.ready_words
        self.process = subprocess.Popen(
            command(list(self.program.arguments), signal=signal.SIGKILL),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._keep_log, args=[self.process], daemon=True).start()

    def look(self) -> None:
        """Notice its death, and start it again when the pause is over."""
        if self.process is None:
            if time.monotonic() >= self.start_again_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.kill()
        now = time.monotonic()
        self.deaths = 1 if now - self.started_at > STABLE_SECONDS else self.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.deaths - 1))
        self.start_again_at = now + pause
        ending = f"signal {-code}" if code < 0 else f"code {code}"
        self.say(f"{self.program.name} ended with {ending}; starting it again in {pause:g} s ({self.log_path})")

    def ask_to_stop(self) -> None:
        """Let it finish what it has begun. Only the leader is told: it knows how to end its own children."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def running(self) -> bool:
        """Whether the leader still runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End the whole group now; also after the leader's end, for those it left behind."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # nobody left; macOS says the second about zombies
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def _keep_log(self, process: "subprocess.Popen[bytes]") -> None:
        """Copy the output to the log, and the lines that an operator should see to the terminal, but not a flood."""
        log = BoundedLog(self.log_path)
        echoed: list[float] = []
        output = process.stdout
        assert output
        for line in iter(lambda: output.readline(65_536), b""):
            log.write(line)
            self.last_words = line.decode(errors="replace").strip() or self.last_words
            self.ready = self.ready or self.program.ready_words in line
            now = time.monotonic()
            echoed = [moment for moment in echoed if now - moment < ECHO_SECONDS]
            if IMPORTANT.search(line) and len(echoed) < ECHO_LIMIT:
                echoed.append(now)
                self.say(f"{self.program.name}: {line.decode(errors='replace').rstrip()}")
        log.close()


class Supervisor:
    """Keeps the children of one `up` running until it is told to stop."""

    def __init__(self, logs: Path, say: Say) -> None:
        """No children yet; `say` may be called from several threads."""
        self.logs = logs
        self.say = say
        self.groups: list[list[Child]] = []

    def start(self, groups: Sequence[Sequence[Program]]) -> None:
        """Start the programs, group after group; they will be stopped in the opposite order, each group at once."""
        for programs in groups:
            self.groups.append([Child(program, self.logs, self.say) for program in programs])
            for child in self.groups[-1]:
                child.start()

    def look(self) -> None:
        """Start again what has died."""
        for group in self.groups:
            for child in group:
                child.look()

    def ready(self) -> bool:
        """Whether all have said that they have started."""
        return all(child.ready for group in self.groups for child in group)

    def failing(self) -> Child | None:
        """One that does not get going, if there is one."""
        return next((child for group in self.groups for child in group if child.deaths > 1), None)

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Stop all, last group first; who does not end in time, or when `hurry` turns true, is killed."""
        began = time.monotonic()
        for group in reversed(self.groups):
            for child in group:
                child.ask_to_stop()
            for child in group:
                until = began + child.program.stop_within
                while child.running() and time.monotonic() < until and not hurry():
                    time.sleep(TICK)
                if child.running():
                    self.say(f"{child.program.name} does not end: killed")
                child.kill()
        self.groups.clear()
