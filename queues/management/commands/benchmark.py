"""`manage.py benchmark`: how fast this machine is with batchconsole, against bare SQL in the same run."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from queues.benchmarks.figures import Row
from queues.benchmarks.report import COLUMNS, cells
from queues.benchmarks.scratch import NoScratch, scratch
from queues.benchmarks.sizes import QUICK_REPETITIONS, REPETITIONS, SHAPES
from queues.management.base import PROBLEM, OperatorCommand, a_count
from queues.management.measuring import measure

# A command of the console, which this package does not know: it is called by its name.
PAGES = "benchmark_pages"


class Command(OperatorCommand):
    """Measures in a scratch database; the site's own data is not touched."""

    help = (
        "Measure enqueue, drain, claim and latency against bare SQL, in a scratch database. The exit code is 1 when a "
        "count is wrong or, without --quick, a bound is missed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What and how often."""
        super().add_arguments(parser)
        names = [name for shape in SHAPES.values() for name in shape]
        parser.add_argument(
            "--shape", choices=SHAPES, default="product", help="seeds: the tables of two guides, beside their figures"
        )
        parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
        parser.add_argument("--repeat", type=a_count, metavar="N", help=f"repetitions (default {REPETITIONS})")
        parser.add_argument("--pages", action="store_true", help="instead, the console's pages on a full database")
        parser.add_argument("--quick", action="store_true", help="small and seldom: only whether it works")

    def answer(self, options: dict[str, Any]) -> int | None:
        """Run the measuring process and show what it has found."""
        if options["pages"]:
            self._pages(options)
            return None
        quick = options["quick"]
        repetitions = options["repeat"] or (QUICK_REPETITIONS if quick else REPETITIONS)
        # As Ctrl-C, so that the scratch database goes in either case.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        plan = {"names": options["only"] or SHAPES[options["shape"]], "repetitions": repetitions, "quick": quick}
        try:
            with scratch() as environment:
                last = measure("queues.benchmarks", plan, environment)
        except NoScratch as error:
            raise CommandError(str(error)) from None
        rows, facts = [Row.from_dict(row) for row in last["rows"]], last["facts"]
        if self.as_json:
            self.document({**plan, "facts": facts, "rows": [row.as_dict() for row in rows]})
        else:
            self.say(f"Medians of {repetitions} repetitions, with [lowest..highest]")
            self.table(COLUMNS, [cells(row) for row in rows])
            self.say("; ".join(f"{name} {value}" for name, value in facts.items()))
        return None if all(row.correct if quick else row.passed for row in rows) else PROBLEM

    def _pages(self, options: dict[str, Any]) -> None:
        if options["only"] or options["shape"] != "product":
            raise CommandError(f"--pages measures pages: for some of them use `manage.py {PAGES} --only NAME`")
        names = {name: options[name] for name in ("repeat", "quick", "json")}
        call_command(PAGES, stdout=self.stdout, stderr=self.stderr, **names)
