"""`manage.py benchmark --pages`: how fast the pages of the console answer in front of millions of jobs."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from monitoring.benchmarks.pages import BOUND
from queues.benchmarks.scans import of_jobs
from queues.benchmarks.scratch import NoScratch, scratch
from queues.management.base import PROBLEM, OperatorCommand, a_count
from queues.management.measuring import measure

REPETITIONS, QUICK_REPETITIONS = 20, 2


class Command(OperatorCommand):
    """Fills a scratch database and requests every page; the site's own data is not touched."""

    help = (
        "Fill a scratch database with a million waiting and five million archived jobs, 50,000 batches and 200,000 "
        "dead letters (--quick: a hundredth), and request every page of the console. The exit code is 1 when a "
        "page does not answer or, without --quick, takes longer than 300 ms at the 95th percentile or scans jobs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How often, and which."""
        super().add_arguments(parser)
        parser.add_argument("--repeat", type=a_count, metavar="N", help=f"requests of a page (default {REPETITIONS})")
        parser.add_argument("--only", action="append", metavar="NAME", help="pages whose name begins so")
        parser.add_argument("--quick", action="store_true", help="a hundredth: only whether it works")

    def answer(self, options: dict[str, Any]) -> int | None:
        """Run the measuring process and show what it has found."""
        quick = options["quick"]
        repetitions = options["repeat"] or (QUICK_REPETITIONS if quick else REPETITIONS)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        plan = {"only": options["only"] or [], "repetitions": repetitions, "quick": quick}
        try:
            with scratch() as environment:
                last = measure("monitoring.benchmarks", plan, environment)
        except NoScratch as error:
            raise CommandError(str(error)) from None
        rows = last["rows"]
        if self.as_json:
            self.document({**plan, "bound": BOUND, "facts": last["facts"], "rows": rows})
        else:
            self._show(rows, repetitions)
            self.say("; ".join(f"{name} {value}" for name, value in last["facts"].items()))
        return None if all(row["answered"] if quick else row["passed"] for row in rows) else PROBLEM

    def _show(self, rows: list[dict[str, Any]], repetitions: int) -> None:
        self.say(f"Milliseconds of a request, of {repetitions}; the 95th percentile may be {BOUND:.0f}")
        self.table(
            ("page", "median", "95th", "kB", "", "scans of large tables"),
            [
                (
                    row["name"],
                    f"{row['median']:.0f}",
                    f"{row['p95']:.0f}",
                    f"{row['bytes'] / 1000:.0f}",
                    _verdict(row),
                    ", ".join(row["scans"]),
                )
                for row in sorted(rows, key=lambda row: -row["p95"])
            ],
        )


def _verdict(row: dict[str, Any]) -> str:
    if not row["answered"]:
        return f"answered {row['status']}"
    if any(map(of_jobs, row["scans"])):
        return "scans jobs"
    if row["slow"]:
        return "a part was stopped"
    return "ok" if row["p95"] <= BOUND else "too slow"
