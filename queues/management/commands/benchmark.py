"""`manage.py benchmark`: how fast this machine is with batchconsole, against bare SQL in the same run."""

import json
import signal
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from queues.benchmarks.figures import Row
from queues.benchmarks.report import table
from queues.benchmarks.scratch import NoScratch, scratch
from queues.benchmarks.sizes import QUICK_REPETITIONS, REPETITIONS

# In the order of the table. Named here, because the module that measures them needs its own environment.
NAMES = ("enqueue", "memory", "drain", "long", "singles", "failing", "snapshot", "claim", "latency")
STOP_SECONDS = 15.0


class Command(BaseCommand):
    """Measure; the exit code is 1 when a count is wrong or, without `--quick`, a bound is missed."""

    help = "Measure enqueue, drain, claim and latency against bare SQL, in a scratch database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What and how often."""
        parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
        parser.add_argument("--repeat", type=int, metavar="N", help=f"repetitions (default {REPETITIONS})")
        parser.add_argument("--quick", action="store_true", help="small and seldom: only whether it works")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, only: list[str] | None, repeat: int | None, quick: bool, **options: Any) -> None:
        """Run the measuring process and show what it has found."""
        repetitions = (QUICK_REPETITIONS if quick else REPETITIONS) if repeat is None else repeat
        if repetitions < 1:
            raise CommandError("--repeat: at least 1")
        # As Ctrl-C, so that the scratch database goes in either case.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        plan = {"names": only or NAMES, "repetitions": repetitions, "quick": quick}
        try:
            with scratch() as environment:
                rows = self._measure(plan, environment)
        except NoScratch as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps({**plan, "rows": [row.as_dict() for row in rows]}, indent=2))
        else:
            Console(file=self.stdout, highlight=False).print(table(rows, repetitions))
        if not all(row.correct if quick else row.passed for row in rows):
            sys.exit(1)

    def _measure(self, plan: dict[str, Any], environment: dict[str, str]) -> list[Row]:
        command = [sys.executable, "-m", "queues.benchmarks", json.dumps(plan)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        last: dict[str, Any] = {}
        try:
            last = self._follow(process)
        finally:
            if not last:
                process.send_signal(signal.SIGINT)
            self._end(process)
        if "rows" not in last:
            raise CommandError(last.get("error") or "the measuring process has ended with an error")
        return [Row.from_dict(row) for row in last["rows"]]

    def _follow(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        assert process.stdout is not None
        values: dict[str, Any] = {}
        with Console(stderr=True).status("starting") as status:
            for line in process.stdout:
                values = json.loads(line)
                if "tell" in values:
                    status.update(values["tell"])
        return values

    def _end(self, process: "subprocess.Popen[str]") -> None:
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
