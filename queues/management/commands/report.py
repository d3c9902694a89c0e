"""`manage.py report`: what was done, how fast, and how much of it went wrong."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from queues.management.base import OperatorCommand, UsageError, a_moment, an_id
from queues.selectors.clock import database_now
from queues.selectors.figures import queue_names
from queues.selectors.statistics import LONGEST, performance_report, queue_statistics

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Command(OperatorCommand):
    """Performance over a window, or of some batches."""

    help = "Report finished batches (jobs, seconds, jobs a second, mean time, errors) and what each queue has done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to report on."""
        parser.add_argument("--queue", default="", help="one queue instead of all")
        parser.add_argument("--since", type=_since, default="1d", help="a time with its zone, or 30m, 12h, 7d ago (1d)")
        parser.add_argument(
            "--batch", type=an_id, action="append", help="these batches, whenever they ended; repeatable"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Report."""
        now = database_now()
        since = now - options["since"] if isinstance(options["since"], timedelta) else options["since"]
        seconds = (now - since).total_seconds()
        if not 0 < seconds <= LONGEST:
            raise UsageError("--since: in the past, at most a year ago")
        try:
            report = performance_report(queue=options["queue"], since=since, batches=options["batch"])
            names = [] if options["batch"] else [options["queue"]] if options["queue"] else queue_names()
            queues = [queue_statistics(name, seconds) for name in names]
        except LookupError as error:
            raise CommandError(str(error)) from None
        if self.as_json:
            self.document({"since": None if options["batch"] else since, **asdict(report), "queues": queues})
            return
        self.table(("finished batches", ""), [(name, _number(value)) for name, value in asdict(report).items()])
        worked = [queue for queue in queues if queue.runs or queue.batches]
        if worked:
            rows = [tuple(_number(getattr(queue, name)) for name in _SHOWN) for queue in worked]
            self.say("")
            self.table(_SHOWN, rows)


_SHOWN = (
    *("queue", "runs", "processed", "succeeded", "failed", "retried", "dead", "batches", "mean_batch_size"),
    *("mean_run_ms", "jobs_per_second", "error_rate", "wait_ms_p95", "handler_ms_p50", "handler_ms_p95"),
)


def _number(value: Any) -> Any:
    return f"{value:,.3f}" if isinstance(value, float) else value


def _since(text: str) -> datetime | timedelta:
    if found := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    try:
        return a_moment(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is neither a time like 2030-01-31T08:00:00Z nor like 12h") from None
