"""How long one job waits on an idle system."""

import random
import time
from statistics import median

from queues import store
from queues.benchmarks import bare, handlers, work
from queues.benchmarks.bench import Bench
from queues.benchmarks.figures import Row
from queues.services.enqueue import enqueue


def latency_scenario(bench: Bench) -> list[Row]:
    """From the commit of one job to the start of its handler, nothing else going on."""
    bench.tell(f"latency: {bench.sizes.latency} jobs, one after another")
    bare.empty(bench.address)
    found = sorted(_latency(number, bench.draw) for number in range(bench.sizes.latency))
    rows = (("median", median(found), 60.0), ("95th percentile", found[-(-95 * len(found) // 100) - 1], 120.0))
    text = "commit of one job to start of its handler"
    return [Row("latency", f"{text}, {name}", "ms", [value], bound, floor=False) for name, value, bound in rows]


def _latency(number: int, draw: random.Random) -> float:
    committed: list[int] = []
    # Not in step with the broker's polling, and not while the worker still ends the last job.
    time.sleep(draw.uniform(0.08, 0.16))
    with store.atomic():
        store.on_commit(lambda: committed.append(time.monotonic_ns()))
        enqueue(handlers.arrive, {"n": number})
    until = time.monotonic() + work.PATIENCE
    place = handlers.MOMENT.size * number
    while not (started := handlers.MOMENT.unpack_from(handlers.arrivals(), place)[0]):
        if time.monotonic() > until:
            raise work.BenchmarkError("a single job was not started")
        time.sleep(0.002)
    return float(started - committed[0]) / 1e6
