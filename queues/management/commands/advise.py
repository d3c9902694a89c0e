"""`manage.py advise`: which size of run suits a queue's jobs."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues.management.base import OperatorCommand
from queues.models import Queue
from queues.selectors.advice import HandlerAdvice, advise

COLUMNS = (
    "handler",
    "jobs are",
    "ms a job",
    "p50 ms",
    "jobs a run",
    "s a run",
    "recommended",
    "best",
    "s then",
    "chunk",
)


class Command(OperatorCommand):
    """Advice from what was measured; changes nothing."""

    help = "Recommend sizes of runs and chunks for a queue, by how long its jobs have taken in its last 200 runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which queue."""
        parser.add_argument("queue")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Look at the last runs."""
        queue = Queue.objects.filter(name=options["queue"]).first() if "\0" not in options["queue"] else None
        if queue is None:
            raise CommandError(f"there is no queue {options['queue']!r}")
        found = advise(queue)
        if self.as_json:
            self.document({**_settings(queue), "handlers": [asdict(one) for one in found]})
            return
        self.say(_policy(queue))
        self.table(COLUMNS, [_row(one) for one in found], empty="no finished runs to judge by")


def _settings(queue: Queue) -> dict[str, Any]:
    names = ("run_start", "run_least", "run_size", "run_target", "chunk_size", "concurrency")
    return {"queue": queue.name, **{name: getattr(queue, name) for name in names}}


def _policy(queue: Queue) -> str:
    return (
        f"queue {queue.name}: runs start at {queue.run_start:,} jobs, aim at {queue.run_target:g} s "
        f"between {queue.run_least:,} and {queue.run_size:,} jobs; chunks of {queue.chunk_size:,}"
    )


def _row(one: HandlerAdvice) -> tuple[Any, ...]:
    return (
        one.handler,
        one.advice.kind,
        f"{one.job_ms:,.1f}",
        None if one.p50_ms is None else f"{one.p50_ms:,.1f}",
        f"{one.jobs_a_run:,.0f}",
        f"{one.seconds_a_run:,.2f}",
        f"{one.advice.least}-{one.advice.most}",
        one.advice.size,
        f"{one.advice.run_seconds:,.2f}",
        one.chunk.size,
    )
