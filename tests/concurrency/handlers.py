"""Handlers whose work can be seen from outside: each finished job is a line in a file that all processes share."""

import hashlib
import os
import signal
import time
from functools import cache

from queues.domain.outcomes import Job
from queues.handlers import handler, queue

queue("traced", archive_after=0)


@cache
def _trace() -> int:
    return os.open(os.environ["TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def leave_trace(job: Job) -> None:
    """One line, written at once and whole."""
    os.write(_trace(), f"{job.id} {time.monotonic()} {os.getpid()} {job.attempt}\n".encode())


@handler(queue="traced", name="traced.quick")
def quick(job: Job) -> None:
    """Nothing but the trace."""
    leave_trace(job)


@handler(queue="traced", name="traced.slow")
def slow(job: Job) -> None:
    """Takes as many milliseconds as the payload says."""
    time.sleep(job.payload / 1000)
    leave_trace(job)


@handler(queue="traced", name="traced.some_kill")
def some_kill(job: Job) -> None:
    """A job with the payload "kill" takes its process with it."""
    if job.payload == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    leave_trace(job)


@handler(queue="traced", name="traced.some_kill_whole", whole=True)
def some_kill_whole(jobs: list[Job]) -> None:
    """The same for a handler that takes all jobs at once."""
    if any(job.payload == "kill" for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    for job in jobs:
        leave_trace(job)


@handler(queue="traced", name="traced.fails_once")
def fails_once(job: Job) -> None:
    """Its first attempt fails."""
    leave_trace(job)
    if job.attempt == 1 and job.payload == "fail":
        raise RuntimeError("the first time always fails")


@handler(queue="traced", name="traced.blocks")
def blocks(job: Job) -> None:
    """A job with the payload true is busy in C, where no alarm reaches it."""
    if job.payload:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
    leave_trace(job)


@handler(queue="traced", name="traced.doubled")
def doubled(job: Job) -> int:
    """Returns twice its payload."""
    leave_trace(job)
    return int(job.payload) * 2
