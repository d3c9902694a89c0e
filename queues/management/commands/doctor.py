"""`manage.py doctor`: is all as it should be?"""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from queues.management.base import PROBLEM, OperatorCommand
from queues.services import doctor


class Command(OperatorCommand):
    """Looks, and tells; the exit code is 1 when there is a problem."""

    help = "Look for stuck work and faults of the configuration; with --counts compare every count with its rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How thoroughly to look."""
        parser.add_argument(
            "--counts", action="store_true", help="read every chunk, batch and job: minutes on many millions"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> int:
        """Look, and list what was found."""
        with self.progress("doctor") as bar:
            found = doctor.examine(
                counts=options["counts"], progress=lambda table, last: bar.at(last, f"doctor: {table}")
            )
        problems = [problem for problem in found if not problem.warning]
        if self.as_json:
            warnings = [asdict(problem) for problem in found if problem.warning]
            self.document({"problems": [asdict(problem) for problem in problems], "warnings": warnings})
        else:
            rows = [
                ("warning" if one.warning else "problem", one.check, one.subject, one.message)
                for one in sorted(found, key=lambda one: one.warning)
            ]
            self.table(("", "check", "what", "finding"), rows, empty="all is as it should be")
        return PROBLEM if problems else 0
