"""`manage.py archive`: what beat rings every minute, and the way back."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from queues.management.base import OperatorCommand, UsageError, an_id, operator
from queues.services import archive


class Command(OperatorCommand):
    """Moves finished jobs out of the hot tables, or brings them back."""

    help = "Move finished jobs into the archive until nothing is left to move; or restore archived jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`archive`, or `archive restore`."""
        parser.add_argument("--dry-run", action="store_true", help="only count what would be moved")
        super().add_arguments(parser)
        verbs = parser.add_subparsers(dest="verb")
        back = verbs.add_parser("restore", help="let archived jobs run again, as new; at most 1,000 at once")
        back.add_argument("jobs", type=an_id, nargs="*", metavar="JOB")
        back.add_argument("--batch", type=an_id, help="all archived jobs of this batch and its parts")
        back.add_argument("--reason", default="")
        super().add_arguments(back)

    def answer(self, options: dict[str, Any]) -> None:
        """Archive, count, or restore."""
        if options["verb"] == "restore":
            self._restore(options)
        elif options["dry_run"]:
            self._count()
        else:
            self._archive()

    def _archive(self) -> None:
        with self.progress("archive", self._jobs_due()) as bar:
            jobs = archive.archive(seconds=None, progress=bar.at)
        if self.as_json:
            self.document({"jobs": jobs})
        self.say(f"{jobs:,} jobs archived")

    def _jobs_due(self) -> int | None:
        # Counting costs something on a long backlog: only where somebody watches.
        return archive.archive(dry_run=True) if self.stderr.isatty() else None

    def _count(self) -> None:
        due = archive.due()
        if self.as_json:
            self.document([{"queue": queue, "chunks": chunks, "jobs": jobs} for queue, chunks, jobs in due])
        else:
            self.table(("queue", "chunks", "jobs"), due, empty="nothing would be archived")

    def _restore(self, options: dict[str, Any]) -> None:
        if bool(options["jobs"]) == (options["batch"] is not None):
            raise UsageError("name jobs, or give --batch")
        result = archive.restore(
            job_ids=options["jobs"] or None,
            batch=options["batch"],
            actor=operator(),
            source="command",
            reason=options["reason"],
        )
        if self.as_json:
            self.document(asdict(result))
        self.say(f"{result.jobs:,} jobs restored: they run again")
