"""`python -m queues.benchmarks.memory JOBS`: enqueue so many from a generator, and say how far memory grew."""

import json
import resource
import sys

import django


def main() -> None:
    """The start is where a process stands that has connected and enqueued one job."""
    django.setup()
    import psutil

    from queues.benchmarks import handlers, work
    from queues.services.enqueue import enqueue_batch

    enqueue_batch(handlers.no_op, [work.payload(0)])
    start = psutil.Process().memory_info().rss
    jobs = int(sys.argv[1])
    batch = enqueue_batch(handlers.no_op, map(work.payload, range(jobs)), split=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"megabytes": max(0, peak - start) / 1e6, "total": batch.total}))


if __name__ == "__main__":
    main()
