"""`manage.py benchmark`: how fast this machine is with batchconsole, against bare SQL in the same run."""

import json
import signal
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console

from queues.benchmarks.figures import Row
from queues.benchmarks.report import COLUMNS, cells
from queues.benchmarks.scratch import NoScratch, scratch
from queues.benchmarks.sizes import NAMES, QUICK_REPETITIONS, REPETITIONS
from queues.management.base import PROBLEM, OperatorCommand, a_count

STOP_SECONDS = 15.0


class Command(OperatorCommand):
    """Measures in a scratch database; the site's own data is not touched."""

    help = (
        "Measure enqueue, drain, claim and latency against bare SQL, in a scratch database. The exit code is 1 when a "
        "count is wrong or, without --quick, a bound is missed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What and how often."""
        super().add_arguments(parser)
        parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
        parser.add_argument("--repeat", type=a_count, metavar="N", help=f"repetitions (default {REPETITIONS})")
        parser.add_argument("--quick", action="store_true", help="small and seldom: only whether it works")

    def answer(self, options: dict[str, Any]) -> int | None:
        """Run the measuring process and show what it has found."""
        quick = options["quick"]
        repetitions = options["repeat"] or (QUICK_REPETITIONS if quick else REPETITIONS)
        # As Ctrl-C, so that the scratch database goes in either case.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        plan = {"names": options["only"] or NAMES, "repetitions": repetitions, "quick": quick}
        try:
            with scratch() as environment:
                rows, facts = _measure(plan, environment)
        except NoScratch as error:
            raise CommandError(str(error)) from None
        if self.as_json:
            self.document({**plan, "facts": facts, "rows": [row.as_dict() for row in rows]})
        else:
            self.say(f"Medians of {repetitions} repetitions, with [lowest..highest]")
            self.table(COLUMNS, [cells(row) for row in rows])
            self.say("; ".join(f"{name} {value}" for name, value in facts.items()))
        return None if all(row.correct if quick else row.passed for row in rows) else PROBLEM


def _measure(plan: dict[str, Any], environment: dict[str, str]) -> tuple[list[Row], dict[str, Any]]:
    command = [sys.executable, "-m", "queues.benchmarks", json.dumps(plan)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    last: dict[str, Any] = {}
    try:
        last = _follow(process)
    finally:
        if not last:
            process.send_signal(signal.SIGINT)
        _end(process)
    if "rows" not in last:
        raise CommandError(last.get("error") or "the measuring process has ended with an error")
    return [Row.from_dict(row) for row in last["rows"]], last["facts"]


def _follow(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Show where it is; its last words."""
    assert process.stdout is not None
    values: dict[str, Any] = {}
    with Console(stderr=True).status("starting") as status:
        for line in process.stdout:
            values = json.loads(line)
            if "tell" in values:
                status.update(values["tell"])
    return values


def _end(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
