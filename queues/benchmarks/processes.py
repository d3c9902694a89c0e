"""The processes that do the work: two of Celery's, and two that run bare SQL."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import current_app
from django.conf import settings

from queues.benchmarks import handlers, work
from queues.domain.states import WorkerState
from queues.models import Worker

PROCESSES = 2
STOP_SECONDS = 10.0


@contextmanager
def celery_worker(warm: int) -> Iterator[None]:
    """A Celery worker with two processes, both warm: connected, registered and with their plans made."""
    arguments = ["-m", "celery", "-A", current_app.main, "worker", "--pool=prefork", "--loglevel=WARNING"]
    arguments += [f"--queues={current_app.conf.task_default_queue}", f"--concurrency={PROCESSES}"]
    arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--hostname=benchmark@%h"]
    with (Path(settings.HOME) / "worker.log").open("a") as log:
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
    try:
        _warm(process, warm)
        yield
    finally:
        _stop(process)


def _warm(process: "subprocess.Popen[bytes]", jobs: int) -> None:
    """Small batches until both processes have taken part."""
    until = time.monotonic() + work.PATIENCE
    while Worker.objects.exclude(state=WorkerState.STOPPED).count() < PROCESSES:
        if process.poll() is not None or time.monotonic() > until:
            raise work.BenchmarkError(f"the Celery worker does not work: see {settings.HOME}/worker.log")
        work.drain_through_workers(work.fill(jobs, handlers.no_op))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Bare:
    """Two processes that drain with bare SQL whenever they are told."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-m", "queues.benchmarks.bare", address]
        self._processes = [
            subprocess.Popen([*command, str(uuid.uuid4())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]

    def drain(self, queue_id: int, want: int) -> int:
        """Both drain a queue; the number of jobs they did."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{queue_id} {want}\n")
            process.stdin.flush()
        return sum(_answer(process) for process in self._processes)

    def stop(self) -> None:
        """End both."""
        for process in self._processes:
            _stop_quietly(process)


def _answer(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise work.BenchmarkError("a bare process has ended")
    return int(line)


def _stop_quietly(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate()


@contextmanager
def bare_processes(address: str, warm: int) -> Iterator[Bare]:
    """Two bare processes, warm."""
    bare = Bare(address)
    try:
        batch = work.fill(warm, handlers.no_op)
        work.release()
        bare.drain(batch.queue_id, work.queue().run_size)
        yield bare
    finally:
        bare.stop()
