"""Starting worker processes for a test, hurting them, and reading what their handlers left."""

import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
from django.db import connection

from queues.models import Batch, Queue
from tests.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]


class Line(NamedTuple):
    """One finished call of a handler; the clock is the machine's monotonic one."""

    job: int
    at: float
    pid: int
    attempt: int


@dataclass
class Trace:
    """The file in which handlers leave a line for each job."""

    path: Path

    def lines(self) -> list[Line]:
        """All lines so far."""
        if not self.path.exists():
            return []
        # What comes after the last end of a line is just being written.
        found = (line.split() for line in self.path.read_text().rpartition("\n")[0].splitlines())
        return [Line(int(job), float(at), int(pid), int(attempt)) for job, at, pid, attempt in found]

    def count(self) -> int:
        """How many lines there are."""
        return len(self.lines())

    def repeated(self) -> dict[int, list[Line]]:
        """The calls of jobs that were called more than once, in order of time."""
        calls = defaultdict(list)
        for line in self.lines():
            calls[line.job].append(line)
        return {job: sorted(lines, key=lambda line: line.at) for job, lines in calls.items() if len(lines) > 1}

    def jobs(self) -> Counter[int]:
        """How often each job was called."""
        return Counter(line.job for line in self.lines())


class Crew:
    """Some workers under their parent."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def children(self) -> list[psutil.Process]:
        """The living workers."""
        found = psutil.Process(self.process.pid).children()
        return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]

    def stop(self, timeout: float = 20) -> None:
        """Stop all gracefully, and wait."""
        self.process.terminate()
        self.process.wait(timeout)


@contextmanager
def crew(env: dict[str, str], trace: Trace, *names: str, children: int = 2, **settings: object) -> Iterator[Crew]:
    """Workers for these queues; `settings` become BATCHCONSOLE_... variables. Killed at the end."""
    variables = {f"BATCHCONSOLE_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.concurrency.worker", str(children), *names],
        cwd=PROJECT,
        env=env | {"TRACE": str(trace.path), "BATCHCONSOLE_APPS": "tests.concurrency"} | variables,
        start_new_session=True,
    )
    try:
        yield Crew(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not other_connections(), 10, "the workers' connections to end")


def other_connections() -> int:
    """Sessions in the test database that are not this one's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def traced_queue(name: str = "traced", **policy: object) -> Queue:
    """The queue of the handlers that leave traces. Retries come at once unless said otherwise."""
    return Queue.objects.create(name=name, **{"backoff_base": 0, "jitter": 0, **policy})


def ended(batch: Batch) -> bool:
    """Whether the batch has ended, read anew."""
    batch.refresh_from_db()
    return batch.state != "running"
