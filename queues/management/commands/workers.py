"""`manage.py workers`: list, suspend, resume, stop, reclaim."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from queues.management.base import OperatorCommand, UsageError, operator
from queues.selectors import worker_health
from queues.selectors.clock import database_now
from queues.services import control

COLUMNS = ("id", "name", "state", "health", "heard", "runs", "jobs", "failed", "dead", "success", "run ms", "jobs/s")
VERBS = {"suspend": control.suspend, "resume": control.resume, "stop": control.stop}
HELP = {
    "suspend": "finish the job in hand, give back the rest, claim nothing until it is resumed",
    "resume": "let a suspended worker go on",
    "stop": "finish the job in hand, give back the rest, and end; a pool starts another one in its place",
}


class Command(OperatorCommand):
    """Who works, how well, and whether they may."""

    help = "List the workers, tell them to wait, to go on or to stop, and take back what dead ones hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="who is there; figures are of the last hour")
        listing.add_argument("--all", action="store_true", help="also those that have stopped")
        super().add_arguments(listing)
        for verb in VERBS:
            each = verbs.add_parser(verb, help=HELP[verb])
            each.add_argument("worker", help="a name, or the beginning of an id (4 characters or more)")
            each.add_argument("--reason", default="")
            super().add_arguments(each)
        back = verbs.add_parser("reclaim", help="take back at once what dead workers hold")
        back.add_argument("worker", nargs="?", help="a name, or the beginning of an id")
        back.add_argument("--older-than", type=float, metavar="SECONDS", help="all that were not heard of for so long")
        back.add_argument("--force", action="store_true", help="also from a worker that is alive")
        back.add_argument("--reason", default="")
        super().add_arguments(back)

    def answer(self, options: dict[str, Any]) -> None:
        """Do what the verb says."""
        if options["verb"] == "list":
            self._list(stopped=options["all"])
        elif options["verb"] == "reclaim":
            self._reclaim(options)
        else:
            who = {"actor": operator(), "source": "command", "reason": options["reason"]}
            worker = VERBS[options["verb"]](worker=_worker(options["worker"]), **who)
            if self.as_json:
                self.document({"id": worker.pk, "name": worker.name, "state": worker.state, "command": worker.command})
            self.say(f"worker {worker.name} is told: {worker.command}")

    def _reclaim(self, options: dict[str, Any]) -> None:
        if (options["worker"] is None) == (options["older_than"] is None):
            raise UsageError("either a worker, or --older-than SECONDS")
        done = control.reclaim(
            worker=_worker(options["worker"]) if options["worker"] else None,
            older_than=options["older_than"],
            force=options["force"],
            actor=operator(),
            source="command",
            reason=options["reason"],
        )
        if self.as_json:
            self.document(done)
        self.say(f"{done.runs:,} runs taken back from {done.workers:,} workers")

    def _list(self, *, stopped: bool) -> None:
        found = worker_health.listed(database_now(), stopped=stopped)
        if self.as_json:
            self.document([_document(worker) for worker in found])
            return
        self.table(COLUMNS, [_line(worker) for worker in found], empty="no workers")


def _worker(text: str) -> UUID:
    try:
        return worker_health.named(text)
    except LookupError as error:
        raise CommandError(str(error)) from None


def _document(worker: worker_health.Seen) -> dict[str, Any]:
    return asdict(worker) | {"figures": asdict(worker.figures) | {"success_rate": worker.figures.success_rate}}


def _line(worker: worker_health.Seen) -> tuple[Any, ...]:
    done = worker.figures
    order = f" (told: {worker.command})" if worker.command and worker.state != "stopped" else ""
    return (
        str(worker.id)[:8],
        worker.name,
        worker.state + order,
        worker.health,
        f"{worker.heartbeat_age:.0f} s ago",
        done.runs,
        done.processed,
        done.failed,
        done.dead,
        None if done.success_rate is None else f"{done.success_rate:.1%}",
        None if done.mean_run_ms is None else f"{done.mean_run_ms:,.0f}",
        f"{done.jobs_per_second:,.1f}",
    )
