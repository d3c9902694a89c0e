"""The scenarios: each one repeats its variants in turn and gives the rows of the table."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from queues import store
from queues.benchmarks import bare, handlers, work
from queues.benchmarks.figures import Row
from queues.benchmarks.processes import bare_processes, celery_worker
from queues.benchmarks.sizes import Sizes
from queues.codec import copy_rows, encode_block
from queues.models import Chunk, Job, Queue
from queues.services import claim as claim_service
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.workers import identify

MEMORY_MB = 100.0


@dataclass(slots=True)
class Bench:
    """What a scenario gets: where to measure, how much, how often, and whom to tell how far it is."""

    address: str
    sizes: Sizes
    repetitions: int
    tell: Callable[[str], None]
    draw: random.Random = field(default_factory=random.Random)

    def rounds(self, name: str, variants: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
        """The results of all variants by name, one for each repetition; the order is drawn for each."""
        results: dict[str, list[Any]] = {variant: [] for variant in variants}
        for number in range(1, self.repetitions + 1):
            for variant in self.draw.sample(list(variants), len(variants)):
                self.tell(f"{name}: repetition {number} of {self.repetitions}, {variant}")
                bare.empty(self.address)
                results[variant].append(variants[variant]())
        return results


def enqueue_scenario(bench: Bench) -> list[Row]:
    """A batch of dicts against a COPY of its rows, which somebody else has serialised."""
    jobs = bench.sizes.enqueue
    items = [work.payload(number) for number in range(jobs)]
    texts = encode_block(items)
    chunk_size = work.queue().chunk_size

    def product() -> tuple[float, bool]:
        began = time.perf_counter()
        batch = enqueue_batch(handlers.no_op, items, split=True)
        seconds = time.perf_counter() - began
        return jobs / seconds, batch.total == jobs == Job.objects.count()

    def opponent() -> tuple[float, bool]:
        first = store.one("reserve_ids", sequence="queues_job_id_seq", wanted=jobs)
        lines: list[str] = []
        for start in range(0, jobs, chunk_size):
            text = copy_rows(first + start, start, start // 10_000, texts[start : start + chunk_size])
            lines += text.splitlines(keepends=True)
        with bare.connect(bench.address) as connection:
            began = time.perf_counter()
            bare.copy_jobs(connection, lines)
            seconds = time.perf_counter() - began
        return jobs / seconds, Job.objects.count() == jobs

    Queue.objects.filter(name=handlers.QUEUE).update(paused_at="2000-01-01T00:00Z")
    found = bench.rounds("enqueue", {"enqueue_batch": product, "COPY": opponent})
    return [
        Row(
            "enqueue",
            f"enqueue_batch of {jobs:,} dicts",
            "jobs/s",
            [rate for rate, _ in found["enqueue_batch"]],
            0.6,
            against="COPY of the serialised rows",
            others=[rate for rate, _ in found["COPY"]],
            correct=all(right for results in found.values() for _, right in results),
        )
    ]


def memory_scenario(bench: Bench) -> list[Row]:
    """A generator into a batch, in a process of its own."""
    jobs = bench.sizes.memory

    def grown() -> dict[str, Any]:
        command = [sys.executable, "-m", "queues.benchmarks.memory", str(jobs)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    found = bench.rounds("memory", {"generator": grown})["generator"]
    return [
        Row(
            "memory",
            f"enqueue_batch of {jobs:,} from a generator, memory above the process's start",
            "MB",
            [answer["megabytes"] for answer in found],
            MEMORY_MB,
            floor=False,
            correct=all(answer["total"] == jobs for answer in found),
        )
    ]


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
    Chunk.objects.all().delete()
    return [
        _claim_row(bench.sizes, place, text, found[name])
        for name, text in (("spread", "a tenth not yet due"), ("front", "that tenth at the front"))
        for place in (1, 2)
    ]


def _claim_queues() -> list[int]:
    names = [f"claim-{number:02}" for number in range(20)]
    Queue.objects.bulk_create([Queue(name=name) for name in names], ignore_conflicts=True)
    return list(Queue.objects.filter(name__in=names).order_by("name").values_list("pk", flat=True))


def _claim_row(sizes: Sizes, place: int, text: str, times: list[list[float]]) -> Row:
    return Row(
        "claim",
        f"a claim with {sizes.backlogs[place]:,} jobs waiting, {text}",
        "ms",
        [each[place] for each in times],
        1.3,
        floor=False,
        against=f"with {sizes.backlogs[0]:,}",
        others=[each[0] for each in times],
    )


def latency_scenario(bench: Bench) -> list[Row]:
    """From the commit of one job to the start of its handler, nothing else going on."""
    with celery_worker():
        bench.tell(f"latency: {bench.sizes.latency} jobs, one after another")
        bare.empty(bench.address)
        found = sorted(_latency(number, bench.draw) for number in range(bench.sizes.latency))
    rows = (("median", median(found), 60.0), ("95th percentile", found[-(-95 * len(found) // 100) - 1], 120.0))
    text = "commit of a job to the start of its handler"
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


@dataclass(slots=True)
class Drains:
    """The variants of draining, which share their repetitions and their workers."""

    bench: Bench
    wanted: set[str]

    def rows(self) -> list[Row]:
        """Those rows that are wanted; the plain drain is always measured, for the others are compared with it."""
        with celery_worker(), bare_processes(self.bench.address) as opponents:
            sizes = self.bench.sizes
            variants: dict[str, Callable[[], work.Drained]] = {
                "drain": lambda: self._drain(sizes.drain),
                "bare": lambda: self._bare(opponents),
                "long": lambda: self._drain(sizes.long),
                "singles": lambda: self._drain(sizes.singles, chunk_size=1),
                "failing": lambda: self._drain(sizes.drain, failing=True),
                "snapshot": self._held,
            }
            chosen = {"drain", *self.wanted} | ({"bare"} if "drain" in self.wanted else set())
            found = self.bench.rounds("drain", {name: variants[name] for name in variants if name in chosen})
        return [row for row in _drain_rows(sizes, found) if row.scenario in self.wanted]

    def _drain(self, jobs: int, *, failing: bool = False, chunk_size: int | None = None) -> work.Drained:
        handler = handlers.fails_once if failing else handlers.no_op
        return work.drain_through_workers(work.fill(jobs, handler, chunk_size=chunk_size), failing=failing)

    def _bare(self, opponents: Any) -> work.Drained:
        jobs = self.bench.sizes.drain
        batch = work.fill(jobs, handlers.no_op)
        started = work.release()
        done = opponents.drain(batch.queue_id, work.queue().run_size)
        return work.measured(jobs, started, correct=done == jobs, runs_of=jobs)

    def _held(self) -> work.Drained:
        batch = work.fill(self.bench.sizes.drain, handlers.no_op)
        with bare.snapshot_held(self.bench.address):
            return work.drain_through_workers(batch)


def _drain_rows(sizes: Sizes, found: dict[str, list[work.Drained]]) -> list[Row]:
    def row(name: str, scenario: str, text: str, bound: float, against: str = "", other: str = "") -> Row:
        results, others = found.get(name, []), found.get(other, [])
        rates = [each.rate for each in results]
        right = all(each.correct for each in [*results, *others])
        return Row(
            scenario,
            text,
            "jobs/s",
            rates,
            bound,
            against=against,
            others=[each.rate for each in others],
            correct=right,
        )

    plain = f"{sizes.drain:,} jobs, two Celery processes"
    rows = [
        row("drain", "drain", plain, 120_000),
        row("drain", "drain", plain, 0.6, "bare SQL, two processes", "bare"),
        row("long", "long", f"{sizes.long:,} jobs", 0.85, f"{sizes.drain:,}", "drain"),
        row("singles", "singles", f"{sizes.singles:,} jobs enqueued singly", 20_000),
        row("failing", "failing", "5 % failing once", 0.5, "without failures", "drain"),
        row("snapshot", "snapshot", "a snapshot held by another session", 0.75, "without", "drain"),
    ]
    held = found.get("snapshot", [])
    rows.append(
        Row(
            "snapshot",
            "the same, rate over the last fifth of the jobs by that over the first",
            "",
            [each.kept for each in held],
            0.8,
        )
    )
    return [each for each in rows if each.values]


DRAINS = ("drain", "long", "singles", "failing", "snapshot")
OTHERS: dict[str, Callable[[Bench], list[Row]]] = {
    "enqueue": enqueue_scenario,
    "memory": memory_scenario,
    "claim": claim_scenario,
    "latency": latency_scenario,
}
NAMES = ("enqueue", "memory", *DRAINS, "claim", "latency")


def measure(bench: Bench, names: set[str]) -> list[Row]:
    """The rows of these scenarios, in the order of `NAMES`."""
    rows: list[Row] = []
    for name, scenario in OTHERS.items():
        if name in names:
            rows += scenario(bench)
    if drains := names & set(DRAINS):
        rows += Drains(bench, drains).rows()
    return sorted(rows, key=lambda row: NAMES.index(row.scenario))
