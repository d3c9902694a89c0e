"""`manage.py batches`: list, show, wait, cancel."""

import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues.domain.states import BatchState
from queues.management.base import PROBLEM, OperatorCommand, a_count, an_id, operator
from queues.selectors import batches, dead_letters
from queues.services import cancel

COLUMNS = ("batch", "name", "queue", "state", "jobs", "succeeded", "running", "waiting", "dead", "cancelled", "created")
LOOK_EVERY = 0.5


class Command(OperatorCommand):
    """Batches: how far they are, and how to stop one."""

    help = "List batches, show one, wait for its end, or cancel it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = verbs.add_parser("list", help="the newest first")
        every.add_argument("--state", choices=[state.value for state in BatchState], default="")
        every.add_argument("--queue", default="")
        every.add_argument("--name", default="", help="part of the name")
        every.add_argument("--limit", type=a_count, default=20, help="most to list (%(default)s)")
        one = verbs.add_parser("show", help="one batch, its counts and what went wrong in it")
        wait = verbs.add_parser("wait", help="until it has ended; exit code 1 unless every job succeeded")
        wait.add_argument("--timeout", type=a_count, help="seconds to wait at most")
        stop = verbs.add_parser("cancel", help="what waits ends now, what runs stops before its next job")
        stop.add_argument("--reason", default="")
        stop.add_argument("--yes", action="store_true", help="do not ask")
        for verb in (one, wait, stop):
            verb.add_argument("batch", type=an_id)
        for verb in (every, one, wait, stop):
            super().add_arguments(verb)

    def answer(self, options: dict[str, Any]) -> int | None:
        """Do what the verb says."""
        verb = options["verb"]
        if verb == "list":
            self._list(options)
            return None
        row = batches.batch(options["batch"])
        if row is None:
            raise CommandError(f"unknown batch {options['batch']}")
        if verb == "wait":
            return self._wait(row, options["timeout"])
        if verb == "show":
            self._show(row)
        else:
            self._cancel(row, options)
        return None

    def _list(self, options: dict[str, Any]) -> None:
        query = batches.BatchQuery(options["state"], options["queue"], options["name"])
        rows: list[batches.BatchRow] = []
        page = batches.batch_page(query)
        while page.rows and len(rows) < options["limit"]:
            rows += page.rows
            if page.older is None:
                break
            page = batches.batch_page(query, before=page.older)
        rows = rows[: options["limit"]]
        counts = batches.batch_counts([row.id for row in rows])
        if self.as_json:
            self.document([_document(row, counts[row.id]) for row in rows])
        else:
            self.table(COLUMNS, [_cells(row, counts[row.id]) for row in rows], empty="no batches")

    def _show(self, row: batches.BatchRow) -> None:
        counts = batches.batch_counts([row.id])[row.id]
        causes = dead_letters.causes(dead_letters.DeadLetterQuery(batch=row.id))
        if self.as_json:
            metadata = batches.batch_metadata(row.id)
            self.document({**_document(row, counts), "metadata": metadata, "causes": causes.rows})
            return
        facts = {**asdict(row), **asdict(counts), "parent_id": row.parent_id and str(row.parent_id)}
        self.table(("batch", str(row.id)), [(name, value) for name, value in facts.items() if name != "id"])
        if causes.rows:
            found = [(cause.count, cause.fingerprint, cause.error_class, cause.message[:80]) for cause in causes.rows]
            self.table(("dead", "fingerprint", "error", "message"), found)

    def _wait(self, row: batches.BatchRow, timeout: int | None) -> int:
        deadline = time.monotonic() + timeout if timeout else None
        with self.progress(row.name or f"batch {row.id}", row.total) as bar:
            while row.state is BatchState.RUNNING:
                bar.at(batches.batch_counts([row.id])[row.id].ended)
                if deadline is not None and time.monotonic() > deadline:
                    raise CommandError(f"batch {row.id} is still running after {timeout} s")
                time.sleep(LOOK_EVERY)
                found = batches.batch(row.id)
                if found is None:
                    raise CommandError(f"batch {row.id} is not there any more")
                row = found
        counts = batches.batch_counts([row.id])[row.id]
        if self.as_json:
            self.document(_document(row, counts))
        self.say(f"batch {row.id} is {row.state}: {counts.succeeded:,} of {row.total:,} jobs succeeded")
        return 0 if row.state is BatchState.COMPLETED else PROBLEM

    def _cancel(self, row: batches.BatchRow, options: dict[str, Any]) -> None:
        counts = batches.batch_counts([row.id])[row.id]
        if row.state is BatchState.RUNNING:
            self.confirm(
                f"Cancel batch {row.id}, with {counts.waiting:,} waiting and {counts.running:,} running jobs?",
                yes=options["yes"],
            )
        cancelled = cancel.cancel_batch(batch_id=row.id, actor=operator(), source="command", reason=options["reason"])
        if self.as_json:
            self.document({"batch": row.id, "cancelled": cancelled})
        self.say(f"batch {row.id}: {cancelled:,} waiting jobs cancelled; what runs stops before its next job")


def _document(row: batches.BatchRow, counts: batches.BatchCounts) -> dict[str, Any]:
    return {**asdict(row), "counts": asdict(counts)}


def _cells(row: batches.BatchRow, counts: batches.BatchCounts) -> tuple[Any, ...]:
    state = f"{row.state}, stopping" if row.state is BatchState.RUNNING and row.stop_reason else row.state
    numbers = (counts.succeeded, counts.running, counts.waiting, counts.dead, counts.cancelled)
    return (str(row.id), row.name, row.queue, state, row.total, *numbers, row.created_at)
