"""All scenarios, in the order of the table."""

from collections.abc import Callable

from queues.benchmarks.bench import Bench
from queues.benchmarks.claiming import claim_scenario
from queues.benchmarks.draining import NAMES as DRAINS
from queues.benchmarks.draining import Drains
from queues.benchmarks.enqueueing import enqueue_scenario, memory_scenario
from queues.benchmarks.figures import Row
from queues.benchmarks.latency import latency_scenario
from queues.benchmarks.processes import celery_worker
from queues.benchmarks.seeds import messages_scenario, tasks_scenario
from queues.benchmarks.sizes import NAMES, SEEDS

Scenario = Callable[[Bench], list[Row]]
ALONE: dict[str, Scenario] = {
    "enqueue": enqueue_scenario,
    "memory": memory_scenario,
    "claim": claim_scenario,
    "messages": messages_scenario,
    "tasks": tasks_scenario,
}


def measure(bench: Bench, names: set[str]) -> list[Row]:
    """The rows of these scenarios, in the order of the table."""
    rows = [row for name, scenario in ALONE.items() if name in names for row in scenario(bench)]
    drains = names & set(DRAINS)
    if drains or "latency" in names:
        bench.tell("starting a Celery worker")
        with celery_worker(bench.sizes.warm):
            if "latency" in names:
                rows += latency_scenario(bench)
            if drains:
                rows += Drains(bench, drains).rows()
    return sorted(rows, key=lambda row: [*NAMES, *SEEDS].index(row.scenario))
