"""The handlers of the benchmark, and the memory in which they leave what they did for the measuring process.

One byte for each job id counts the calls, and eight for each job of the latency scenario hold the moment of its start.
Both are files in the private home, mapped by every process: noting a call must cost next to nothing.
"""

import mmap
import struct
import time
from functools import cache
from pathlib import Path

from django.conf import settings

from queues.domain.outcomes import Job
from queues.handlers import handler, queue

QUEUE = "benchmark"
# Job ids that one whole run of the benchmark may use up, gaps included; the file is sparse.
JOB_IDS = 64_000_000
ARRIVALS = 100_000
MOMENT = struct.Struct("=q")
FAILING_SHARE = 0.05
ONE_INSERT, MANY_INSERT = 0.005, 0.010
_EVERY = round(1 / FAILING_SHARE)

# What fails is due again at once: waiting is not work.
queue(QUEUE, run_size=1_000, backoff="fixed", backoff_base=0.0, jitter=0.0)


@handler(queue=QUEUE)
def no_op(job: Job) -> None:
    """Nothing but the proof of having been called."""
    calls()[job.id] += 1


@handler(queue=QUEUE)
def fails_once(job: Job) -> None:
    """Every twentieth job fails at its first try."""
    calls()[job.id] += 1
    if job.payload["n"] % _EVERY == 0 and job.attempt == 1:
        raise ValueError(f"the first try of {job.payload['n']} fails")


@handler(queue=QUEUE)
def arrive(job: Job) -> None:
    """Note when it started."""
    now = time.monotonic_ns()
    calls()[job.id] += 1
    MOMENT.pack_into(arrivals(), MOMENT.size * job.payload["n"], now)


@handler(queue=QUEUE)
def insert_one(job: Job) -> None:
    """As long as the insertion of one message takes in the guide's table."""
    calls()[job.id] += 1
    time.sleep(ONE_INSERT)


@handler(queue=QUEUE, whole=True)
def insert_many(jobs: list[Job]) -> None:
    """As long as the insertion of a whole chunk takes there, however large it is."""
    for job in jobs:
        calls()[job.id] += 1
    time.sleep(MANY_INSERT)


@cache
def calls() -> mmap.mmap:
    """How often each job id was called."""
    return _mapped("calls", JOB_IDS)


@cache
def arrivals() -> mmap.mmap:
    """When each job of the latency scenario started, by its number; the monotonic clock is the machine's."""
    return _mapped("arrivals", ARRIVALS * MOMENT.size)


def _mapped(name: str, size: int) -> mmap.mmap:
    path = Path(settings.HOME) / name
    with path.open("a+b") as file:
        if path.stat().st_size < size:
            file.truncate(size)
        return mmap.mmap(file.fileno(), size)
