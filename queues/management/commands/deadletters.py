"""`manage.py deadletters`: list, show, retry, delete."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues.domain.text import clean
from queues.management.base import PROBLEM, OperatorCommand, UsageError, a_count, an_id, operator
from queues.models import Operation
from queues.selectors import dead_letters, jobs
from queues.services import operate

COLUMNS = ("job", "queue", "batch", "error", "message", "fingerprint", "attempts", "died")
MOST_IDS = 10_000
ACTIONS = {"retry": ("retry_dead", "retried"), "delete": ("delete_dead", "deleted")}


class Command(OperatorCommand):
    """Jobs that wait for a person."""

    help = "List dead letters, show one with payload and traceback, retry or delete them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = verbs.add_parser("list", help="the latest death first")
        every.add_argument("--limit", type=a_count, default=20, help="most to list (%(default)s)")
        one = verbs.add_parser("show", help="payload, tries and traceback of one")
        one.add_argument("job", type=an_id)
        changing = [
            verbs.add_parser("retry", help="try them again, with all attempts"),
            verbs.add_parser("delete", help="put them in the trash"),
        ]
        for verb in changing:
            verb.add_argument("jobs", type=an_id, nargs="*", metavar="JOB")
            verb.add_argument("--all", action="store_true", help="every dead letter there is")
            verb.add_argument("--reason", default="")
            verb.add_argument("--yes", action="store_true", help="do not ask")
        for verb in (every, *changing):
            verb.add_argument("--batch", type=an_id, help="of this batch and its parts")
            verb.add_argument("--queue", help="of this queue")
            verb.add_argument("--fingerprint", help="of this cause; none: without a fingerprint")
        for verb in (every, one, *changing):
            super().add_arguments(verb)

    def answer(self, options: dict[str, Any]) -> int | None:
        """Do what the verb says."""
        if options["verb"] in ACTIONS:
            return self._change(options)
        if options["verb"] == "list":
            self._list(options)
        else:
            self._show(options["job"])
        return None

    def _list(self, options: dict[str, Any]) -> None:
        query = dead_letters.DeadLetterQuery(
            queue=options["queue"] or "", batch=options["batch"], fingerprint=options["fingerprint"] or ""
        )
        rows: list[dead_letters.DeadLetterRow] = []
        page = dead_letters.dead_letter_page(query)
        while page.rows and len(rows) < options["limit"]:
            rows += page.rows
            if page.older is None:
                break
            page = dead_letters.dead_letter_page(query, before=page.older)
        rows = rows[: options["limit"]]
        if self.as_json:
            self.document([asdict(row) for row in rows])
        else:
            self.table(COLUMNS, [_cells(row) for row in rows], empty="no dead letters")

    def _show(self, job: int) -> None:
        row, payload = dead_letters.dead_letter(job), jobs.payload(job)
        if row is None or payload is None:
            raise CommandError(f"job {job} is no dead letter")
        tries = jobs.attempts(job)
        if self.as_json:
            self.document({**asdict(row), "payload": payload.text, "tries": tries})
            return
        facts = {**asdict(row), "job_id": str(job), "batch_id": row.batch_id and str(row.batch_id)}
        self.table(("dead letter", str(job)), list(facts.items()))
        self.say(f"\npayload: {payload.text}" + ("" if payload.whole else f" ... ({payload.length:,} characters)"))
        for attempt in tries:
            self.say(f"\nattempt {attempt.number}: {attempt.kind} on {attempt.worker or 'an unknown worker'}")
            self.say(clean(attempt.traceback or attempt.message, 64 * 1024))

    def _change(self, options: dict[str, Any]) -> int | None:
        selection = _selection(options)
        action, done = ACTIONS[options["verb"]]
        count = operate.matching(selection).count()
        if not count:
            raise CommandError("no dead letter matches")
        self.confirm(
            f"{options['verb'].capitalize()} {count:,} dead letters ({_words(selection)})?", yes=options["yes"]
        )
        operation = operate.start(
            action=action, selection=selection, actor=operator(), source="command", reason=options["reason"]
        )
        with self.progress(f"{options['verb']} dead letters", operation.total) as bar:
            _work_off(operation, lambda: bar.at(operation.changed + operation.skipped))
        if self.as_json:
            self.document(
                {
                    "operation": operation.pk,
                    "total": operation.total,
                    done: operation.changed,
                    "skipped": operation.skipped,
                }
            )
        skipped = f", {operation.skipped:,} skipped: they were no longer dead letters" if operation.skipped else ""
        self.say(f"{operation.changed:,} {done}{skipped}")
        return None if operation.changed else PROBLEM


def _work_off(operation: Operation, report: Callable[[], None]) -> None:
    """Do the rounds of an operation here; where a worker does one, wait for it."""
    while operation.state == "running":
        if not operate.advance(operation_id=operation.pk):
            time.sleep(0.05)
        operation.refresh_from_db()
        report()


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    named = sorted(set(options["jobs"]))
    filters = {name: options[name] for name in ("batch", "queue", "fingerprint") if options[name] is not None}
    if sum((bool(named), bool(filters), options["all"])) != 1:
        raise UsageError("name jobs, or give --batch, --queue, --fingerprint, or give --all")
    if options["all"]:
        return {"all": True}
    if not named:
        return filters
    if len(named) > MOST_IDS:
        raise UsageError(f"{len(named):,} jobs; at most {MOST_IDS:,} can be named")
    found = set(operate.matching({"job_ids": named}).values_list("pk", flat=True))
    if missing := [str(job) for job in named if job not in found]:
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        raise CommandError(f"no dead letters: {', '.join(missing[:5])}{more}; nothing was changed")
    return {"job_ids": named}


def _words(selection: dict[str, Any]) -> str:
    if "job_ids" in selection:
        return "as named"
    return ", ".join("all there are" if name == "all" else f"{name} {value}" for name, value in selection.items())


def _cells(row: dead_letters.DeadLetterRow) -> tuple[Any, ...]:
    batch = row.batch_id and str(row.batch_id)
    message = row.message[:80]
    return (
        str(row.job_id),
        row.queue,
        batch,
        row.error_class,
        message,
        row.fingerprint,
        row.attempts,
        row.died_at,
    )
