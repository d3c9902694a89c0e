"""`manage.py purge`: what beat rings every hour."""

from argparse import ArgumentParser
from typing import Any

from queues.management.base import OperatorCommand, operator
from queues.services.purge import purge, purge_due_by_outcome
from queues.services.upkeep import purge_all


class Command(OperatorCommand):
    """Removes what is past its retention."""

    help = "Remove what is past its retention: archived jobs, finished batches, runs, attempts and other records."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to count only."""
        parser.add_argument(
            "--dry-run", action="store_true", help="only count what would be removed, the archive by queue and outcome"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Purge or count."""
        with self.progress("purge") as bar:

            def tell(name: str, count: int) -> None:
                bar.at(count, f"purge {name}")

            if options["dry_run"]:
                done = purge(dry_run=True)
            else:
                done = purge_all(actor=operator(), source="command", progress=tell)
        groups = purge_due_by_outcome()[0] if options["dry_run"] else None
        if self.as_json:
            self.document(done if groups is None else {**done, "by_outcome": groups})
            return
        column = "would be removed" if options["dry_run"] else "removed"
        self.table(("what", column), list(done.items()))
        if groups:
            self.table(("queue", "outcome", "jobs", "exact"), [tuple(group.values()) for group in groups])
