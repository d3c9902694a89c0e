"""The figures for Prometheus. Labels are names of queues and of states: as many as there are, and no more.

One reading serves everybody who asks within a second: a scraper that asks too often costs nothing more.
"""

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from time import monotonic

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from monitoring.snapshot import SHARED, QueueLine
from monitoring.totals import TOTALS
from queues.selectors import clock, gauges, handover, throughput

CACHED = 1.0
# Statements of one reading; a slow database answers 503 instead of holding the scraper.
LIMIT = 5.0
LATELY = timedelta(minutes=5)
PREFIX = "batchconsole_"
QUEUE = ("queue",)

COUNTERS = {
    "runs": "Runs that have ended.",
    "succeeded": "Jobs that have succeeded.",
    "failed": "Tries that have failed: retried and dead.",
    "retried": "Failed tries after which the job is tried again.",
    "dead": "Jobs that have become dead letters.",
    "lost": "Runs whose worker died or lost its lease.",
    "bytes": "Payload bytes that were claimed.",
}
NAMES = {
    "runs": "runs",
    "succeeded": "jobs_succeeded",
    "failed": "tries_failed",
    "retried": "jobs_retried",
    "dead": "jobs_dead",
    "lost": "runs_lost",
    "bytes": "payload_bytes",
}


class Figures(Collector):
    """Reads the database when it is collected."""

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        now = clock.database_now()
        lines = SHARED.get(monotonic()).queues
        yield from _backlog(lines)
        yield from _running(lines)
        yield from _totals({line.figures.id: line.figures.name for line in lines})
        yield from _durations({line.figures.id: line.figures.name for line in lines}, now - LATELY)
        yield from _hand_over(lines, now)
        workers = _gauge("workers", "Working processes by state.", ("state",))
        for state, count in sorted(gauges.workers_by_state(now).items()):
            workers.add_metric([state], count)
        yield workers
        yield _single("batches_running", "Batches that have not ended, up to 10,000.", gauges.batches_running())
        yield _single("archived_jobs", "About how many jobs are in the archive.", gauges.archived_jobs())


def _gauge(name: str, text: str, labels: Iterable[str] = QUEUE) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=list(labels))


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _backlog(lines: list[QueueLine]) -> Iterator[Metric]:
    jobs = _gauge(
        "jobs", "Jobs now, by state. An estimate of ten seconds ago beyond some thousands.", ("queue", "state")
    )
    paused = _gauge("queue_paused", "1 while a queue starts nothing new.")
    for line in lines:
        name = line.figures.name
        states = {"waiting": line.waiting, "scheduled": line.scheduled, "running": line.running, "dead": line.dead}
        for state, count in states.items():
            jobs.add_metric([name, state], count)
        paused.add_metric([name], line.figures.pause is not None)
    due = _gauge("oldest_due_seconds", "For how long the oldest due work has been waiting; 0 when nothing is due.")
    ages = gauges.oldest_due()
    for line in lines:
        due.add_metric([line.figures.name], max(0.0, ages.get(line.figures.name, 0.0)))
    yield from (jobs, paused, due)


def _running(lines: list[QueueLine]) -> Iterator[Metric]:
    found = throughput.running_runs()
    runs = _gauge("runs_in_flight", "Runs that workers are at.")
    for line in lines:
        runs.add_metric([line.figures.name], found.get(line.figures.id, 0))
    yield runs


def _totals(names: dict[int, str]) -> Iterator[Metric]:
    found = TOTALS.read()
    known = {names[queue]: sums for queue, sums in found.items() if queue in names}
    for field, text in COUNTERS.items():
        family = CounterMetricFamily(PREFIX + NAMES[field], text, labels=QUEUE)
        for name, sums in sorted(known.items()):
            family.add_metric([name], getattr(sums, field))
        yield family
    for field, title, text in (
        ("lasted_ms", "run_seconds", "How long runs took, from claim to settle."),
        ("waited_ms", "wait_seconds", "How long the oldest work of a run had been due when it was claimed."),
    ):
        summary = SummaryMetricFamily(PREFIX + title, text, labels=QUEUE)
        for name, sums in sorted(known.items()):
            summary.add_metric([name], count_value=sums.runs, sum_value=getattr(sums, field) / 1000)
        yield summary


def _durations(names: dict[int, str], since: datetime) -> Iterator[Metric]:
    run = _gauge("run_seconds_lately", "Quantiles of the last five minutes' runs.", ("queue", "quantile"))
    wait = _gauge("wait_seconds_lately", "Quantiles of the last five minutes' waits.", ("queue", "quantile"))
    for queue, found in sorted(throughput.durations(since).items()):
        if queue in names:
            for family, values in ((run, found.lasted), (wait, found.waited)):
                for quantile, value in values.items():
                    family.add_metric([names[queue], f"{quantile:g}"], value)
    yield from (run, wait)


def _hand_over(lines: list[QueueLine], now: datetime) -> Iterator[Metric]:
    age = _gauge("hand_over_oldest_seconds", "For how long the oldest batch has not been announced to the broker.")
    pending = _gauge("hand_over_pending_batches", "Batches that have not been announced to the broker.")
    failures = _gauge("hand_over_failures", "Messages that could not be sent since one could.")
    found = handover.hand_overs()
    for line in lines:
        name, one = line.figures.name, found.get(line.figures.id, handover.NONE)
        age.add_metric([name], one.age(now) or 0.0)
        pending.add_metric([name], one.pending)
        failures.add_metric([name], one.failures)
    yield from (age, pending, failures)


class Page:
    """The text of the last reading, for whoever asks within a second. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Figures())
        self.clear()

    def clear(self) -> None:
        """Remember nothing."""
        self._text, self._read_at = b"", float("-inf")

    def text(self) -> bytes:
        """The figures in Prometheus' text format. Raises `DatabaseError`."""
        with self._lock:
            if monotonic() - self._read_at > CACHED:
                with clock.bounded(LIMIT):
                    self._text = generate_latest(self._registry)
                self._read_at = monotonic()
            return self._text


PAGE = Page()
