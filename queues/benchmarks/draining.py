"""Draining: through Celery workers, with bare SQL, and under what makes it harder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from queues.benchmarks import bare, handlers, work
from queues.benchmarks.bench import Bench
from queues.benchmarks.figures import Row
from queues.benchmarks.processes import bare_processes
from queues.benchmarks.sizes import Sizes

NAMES = ("drain", "long", "singles", "failing", "snapshot")


@dataclass(slots=True)
class Drains:
    """The variants of draining, which share their repetitions and their workers."""

    bench: Bench
    wanted: set[str]

    def rows(self) -> list[Row]:
        """Those rows that are wanted; the plain drain is always measured, for the others are compared with it."""
        with bare_processes(self.bench.address, self.bench.sizes.warm) as opponents:
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
            "/s",
            rates,
            bound,
            against=against,
            others=[each.rate for each in others],
            correct=right,
        )

    plain = f"drain of {sizes.drain:,}, two Celery processes"
    rows = [
        row("drain", "drain", plain, 120_000),
        row("drain", "drain", plain, 0.6, "bare SQL, two processes", "bare"),
        row("long", "long", f"drain of {sizes.long:,}", 0.85, f"{sizes.drain:,}", "drain"),
        row("singles", "singles", f"drain of {sizes.singles:,} enqueued singly", 20_000),
        row("failing", "failing", "drain with 5 % failing once", 0.5, "without failures", "drain"),
        row("snapshot", "snapshot", "drain with a snapshot held elsewhere", 0.75, "without", "drain"),
    ]
    held = found.get("snapshot", [])
    rows.append(
        Row(
            "snapshot",
            "the same, last fifth of the jobs by first: rate",
            "",
            [each.kept for each in held],
            0.8,
        )
    )
    return [each for each in rows if each.values]
