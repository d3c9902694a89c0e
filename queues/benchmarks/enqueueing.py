"""Enqueue: against a COPY, and how much memory a long generator takes."""

import json
import subprocess
import sys
import time
from typing import Any

from queues import store
from queues.benchmarks import bare, handlers, work
from queues.benchmarks.bench import Bench
from queues.benchmarks.figures import Row
from queues.codec import copy_rows, encode_block
from queues.models import Job, Queue
from queues.services.enqueue import enqueue_batch

MEMORY_MB = 100.0


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
            f"enqueue_batch, {jobs:,} dicts",
            "/s",
            [rate for rate, _ in found["enqueue_batch"]],
            0.6,
            against="COPY of ready rows",
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
            f"the same, {jobs:,} from a generator: memory gained",
            "MB",
            [answer["megabytes"] for answer in found],
            MEMORY_MB,
            floor=False,
            correct=all(answer["total"] == jobs for answer in found),
        )
    ]
