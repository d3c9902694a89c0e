"""`manage.py archive`: what beat rings every minute, and the way back."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from queues.management.base import OperatorCommand, UsageError, an_id, operator
from queues.selectors.archive import archive_statistics
from queues.services import archive
from queues.services.upkeep import archive_all


class Command(OperatorCommand):
    """Moves finished jobs out of the hot tables, or brings them back."""

    help = "Move finished jobs into the archive until nothing is left to move; or restore archived jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`archive`, or `archive restore`."""
        looks = parser.add_mutually_exclusive_group()
        looks.add_argument(
            "--dry-run", action="store_true", help="only count what would be moved, by queue and outcome"
        )
        looks.add_argument("--stats", action="store_true", help="only tell what the archive holds")
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
        elif options["stats"]:
            self._stats()
        else:
            self._archive()

    def _archive(self) -> None:
        with self.progress("archive", self._jobs_due()) as bar:
            jobs = archive_all(actor=operator(), source="command", progress=bar.at)
        if self.as_json:
            self.document({"jobs": jobs})
        self.say(f"{jobs:,} jobs archived")

    def _jobs_due(self) -> int | None:
        # Counting costs something on a long backlog: only where somebody watches.
        return archive.archive(dry_run=True) if self.stderr.isatty() else None

    def _count(self) -> None:
        due = [asdict(queue) for queue in archive.due_by_outcome()]
        if self.as_json:
            self.document(due)
        else:
            rows = [tuple(queue.values()) for queue in due]
            self.table(tuple(due[0]) if due else (), rows, empty="nothing would be archived")

    def _stats(self) -> None:
        found = asdict(archive_statistics())
        if self.as_json:
            self.document(found)
            return
        rows = [tuple(row.values()) for row in found["outcomes"]]
        columns = ("queue", "outcome", "jobs", "payload bytes", "oldest", "newest", "exact")
        self.table(columns, rows, empty="the archive is empty")
        if found["partitions"]:
            parts = [tuple(row.values()) for row in found["partitions"]]
            self.table(("partition", "jobs, about", "bytes on disk"), parts)

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
