"""`python -m queues.benchmarks.memory JOBS`: enqueue so many from a generator, and say how far memory grew."""

import json
import resource
import sys
from pathlib import Path

import django


def main() -> None:
    """The start is where a process stands that is connected and has enqueued one job."""
    django.setup()
    import psutil

    from queues.benchmarks import handlers, work
    from queues.services.enqueue import enqueue_batch

    enqueue_batch(handlers.no_op, [work.payload(0)])
    start = psutil.Process().memory_info().rss
    jobs = int(sys.argv[1])
    batch = enqueue_batch(handlers.no_op, map(work.payload, range(jobs)), split=True)
    print(json.dumps({"megabytes": max(0, peak() - start) / 1e6, "total": batch.total}))


def peak() -> int:
    """The most memory that this process has had, in bytes.

    Not by getrusage where there is another way: on Linux its figure begins with that of the parent, before `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
