"""`manage.py batches`: list, show, jobs, errors, wait, seal, pause, resume, cancel, retry, link, delete, restore."""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues.domain.states import BatchState, JobState
from queues.management import batch_graph, batch_lists, batch_trashing
from queues.management.base import OperatorCommand, a_count, an_id, operator
from queues.selectors import batches
from queues.selectors.batch_lists import BatchQuery, batch_page
from queues.services import batch_pause, cancel
from queues.services.delete import restore_batch
from queues.services.enqueue import seal

COLUMNS = ("batch", "name", "queue", "state", "jobs", "succeeded", "running", "waiting", "dead", "cancelled", "created")

# What each verb does, and what its number counts.
HOLDS: dict[str, tuple[Callable[..., int], str]] = {
    "pause": (batch_pause.pause_batch, "held"),
    "resume": (batch_pause.resume_batch, "released"),
}


class Command(OperatorCommand):
    """Batches: how far they are, and how to stop one."""

    help = (
        "List batches; show one, its jobs or errors; wait for its end; seal, pause, cancel, retry, link or delete it; "
        "restore a deleted one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = verbs.add_parser("list", help="the newest first")
        every.add_argument("--state", choices=[state.value for state in BatchState], default="")
        every.add_argument("--queue", default="")
        every.add_argument("--name", default="", help="part of the name")
        every.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="has it; repeatable")
        every.add_argument("--limit", type=a_count, default=20, help="most to list (%(default)s)")
        one = verbs.add_parser("show", help="one batch, its counts and what went wrong in it")
        wait = verbs.add_parser("wait", help="until it has ended; exit code 1 unless every job succeeded")
        wait.add_argument("--timeout", type=a_count, help="seconds to wait at most")
        stop = verbs.add_parser("cancel", help="what waits ends now, what runs stops before its next job")
        away, back = batch_trashing.add_verbs(verbs)
        again = verbs.add_parser("retry", help="what died goes back with all its attempts; or all jobs, as a new batch")
        again.add_argument("--all", action="store_true", help="all jobs, also archived ones, as a new batch")
        tie = verbs.add_parser("link", help="another batch, not yet started, waits for the end of this one")
        tie.add_argument("batch", type=an_id, metavar="BEFORE", help="the batch that is waited for")
        tie.add_argument("after", type=an_id, metavar="AFTER", help="the batch that waits")
        hold = verbs.add_parser("pause", help="nothing more of it starts; what runs is finished")
        go = verbs.add_parser("resume", help="let a paused one go on")
        shut = verbs.add_parser("seal", help="an open one takes no more jobs, and starts")
        for verb in (stop, away, back, again, tie, hold, go, shut):
            verb.add_argument("--reason", default="")
        for verb in (stop, away, again):
            verb.add_argument("--yes", action="store_true", help="do not ask")
        jobs = verbs.add_parser("jobs", help="its jobs by id, each with its state")
        jobs.add_argument("--state", choices=[state.value for state in JobState], default="")
        errors = verbs.add_parser("errors", help="the jobs that have failed, each with its last error")
        for verb in (jobs, errors):
            verb.add_argument("--after", type=an_id, default=0, metavar="JOB", help="go on after this one")
            verb.add_argument("--limit", type=a_count, default=1_000, help="most to list (%(default)s)")
        for verb in (one, wait, stop, away, back, again, jobs, errors, hold, go, shut):
            verb.add_argument("batch", type=an_id)
        for verb in (every, one, wait, stop, away, back, again, tie, jobs, errors, hold, go, shut):
            super().add_arguments(verb)

    def answer(self, options: dict[str, Any]) -> int | None:
        """Do what the verb says."""
        verb = options["verb"]
        if verb == "list":
            self._list(options)
            return None
        row = batches.batch(options["batch"])
        if row is None:
            raise CommandError(batch_trashing.unknown(options["batch"]))
        if verb == "wait":
            return self._wait(row, options["timeout"])
        if verb in ("jobs", "errors"):
            (batch_lists.jobs if verb == "jobs" else batch_lists.errors)(self, row.id, options)
        elif verb == "show":
            batch_lists.show(self, row)
        elif verb == "delete":
            batch_trashing.delete(self, row, options)
        elif verb == "restore":
            restore_batch(batch_id=row.id, actor=operator(), source="command", reason=options["reason"])
            self._tell(row, restored=True)
        elif verb in HOLDS:
            self._hold(row, verb, options["reason"])
        elif verb == "seal":
            seal(row.id, actor=operator(), source="command", reason=options["reason"])
            self._tell(row, sealed=True)
        elif verb in ("retry", "link"):
            (batch_graph.retry if verb == "retry" else batch_graph.tie)(self, row, options)
        else:
            self._cancel(row, options)
        return None

    def _list(self, options: dict[str, Any]) -> None:
        query = BatchQuery(options["state"], options["queue"], options["name"], batch_lists.pairs(options["metadata"]))
        rows: list[batches.BatchRow] = []
        page = batch_page(query)
        while page.rows and len(rows) < options["limit"]:
            rows += page.rows
            if page.older is None:
                break
            page = batch_page(query, before=page.older)
        rows = rows[: options["limit"]]
        counts = batches.batch_counts([row.id for row in rows])
        if self.as_json:
            self.document([_document(row, counts[row.id]) for row in rows])
        else:
            self.table(COLUMNS, [_cells(row, counts[row.id]) for row in rows], empty="no batches")

    def _wait(self, row: batches.BatchRow, timeout: int | None) -> int:
        row = batch_graph.wait(self, row, timeout)
        counts = batches.batch_counts([row.id])[row.id]
        if self.as_json:
            self.document(_document(row, counts))
        self.say(f"batch {row.id} is {row.state}: {counts.succeeded:,} of {row.total:,} jobs succeeded")
        return batch_graph.exit_code(row)

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

    def _hold(self, row: batches.BatchRow, verb: str, reason: str) -> None:
        service, counted = HOLDS[verb]
        self._tell(row, **{counted: service(batch_id=row.id, actor=operator(), source="command", reason=reason)})

    def _tell(self, row: batches.BatchRow, **done: Any) -> None:
        if self.as_json:
            self.document({"batch": row.id, **done})
        self.say(
            f"batch {row.id}: " + ", ".join(name if n is True else f"{n:,} jobs {name}" for name, n in done.items())
        )


def _document(row: batches.BatchRow, counts: batches.BatchCounts) -> dict[str, Any]:
    return {**asdict(row), "counts": asdict(counts)}


def _cells(row: batches.BatchRow, counts: batches.BatchCounts) -> tuple[Any, ...]:
    state = f"{row.state}, stopping" if row.state is BatchState.RUNNING and row.stop_reason else row.state
    numbers = (counts.succeeded, counts.running, counts.waiting, counts.dead, counts.cancelled)
    return (str(row.id), row.name, row.queue, state, row.total, *numbers, row.created_at)
