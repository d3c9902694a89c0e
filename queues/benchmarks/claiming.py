"""The time of one claim, in front of ever more work."""

import time
from collections.abc import Callable
from statistics import median

from queues import store
from queues.benchmarks import bare, work
from queues.benchmarks.bench import Bench
from queues.benchmarks.figures import Row
from queues.benchmarks.sizes import Sizes
from queues.models import Queue
from queues.services import claim as claim_service
from queues.services.workers import identify


def claim_scenario(bench: Bench) -> list[Row]:
    """One claim, put back, in front of backlogs of different length."""
    queues = _claim_queues()
    policy = claim_service.policy(queue_id=queues[0])
    assert policy is not None
    store.tune_for_work()

    def milliseconds() -> float:
        worker, times = identify().id, []
        with bare.connect(bench.address) as connection:
            for _ in range(bench.sizes.claims):
                began = time.perf_counter()
                claim = claim_service.claim(
                    policy=policy, worker_id=worker, want=policy.chunk_size, lease=bare.LEASE, look=10
                )
                times.append(time.perf_counter() - began)
                if claim is None:
                    raise work.BenchmarkError("nothing could be claimed")
                bare.put_back(connection, claim.run_id)
        return median(times) * 1000

    def growing(front: bool) -> Callable[[], list[float]]:
        def measure() -> list[float]:
            times, start = [], 0
            for jobs in bench.sizes.backlogs:
                stop = jobs // policy.chunk_size
                bare.fill_chunks(bench.address, queues, start, stop, policy.chunk_size, front=front)
                times.append(milliseconds())
                start = stop
            return times

        return measure

    found = bench.rounds("claim", {"spread": growing(False), "front": growing(True)})
    bare.empty(bench.address)
    return [
        _claim_row(bench.sizes, place, text, found[name])
        for name, text in (("spread", "a tenth for later"), ("front", "that tenth in front"))
        for place in (1, 2)
    ]


def _claim_queues() -> list[int]:
    names = [f"claim-{number:02}" for number in range(20)]
    Queue.objects.bulk_create([Queue(name=name) for name in names], ignore_conflicts=True)
    return list(Queue.objects.filter(name__in=names).order_by("name").values_list("pk", flat=True))


def _claim_row(sizes: Sizes, place: int, text: str, times: list[list[float]]) -> Row:
    return Row(
        "claim",
        f"claim, {sizes.backlogs[place]:,} jobs waiting, {text}",
        "ms",
        [each[place] for each in times],
        1.3,
        floor=False,
        against=f"with {sizes.backlogs[0]:,}",
        others=[each[0] for each in times],
    )
