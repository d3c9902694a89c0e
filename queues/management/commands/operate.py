"""`manage.py operate`: one verb for many jobs, as the console does it."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from queues.domain.batch_deeds import BatchAction
from queues.domain.confirming import TYPED_ABOVE, digits
from queues.domain.operating import DEEDS, Action
from queues.domain.states import Outcome
from queues.management import operate_batches
from queues.management.base import PROBLEM, OperatorCommand, UsageError, a_moment, an_id, operator
from queues.models import Operation
from queues.services import operate
from queues.services.preview import Preview, preview
from queues.services.selection import STATES

ACTIONS = [action.value for action in Action if not action.value.endswith("_dead")]
# What is done with an operation.
OF_OPERATIONS = {"undo": operate_batches.undo, "stop": operate_batches.stop}
_FILTERS = ("state", "queue", "batch", "handler", "operation", "text", "outcome")


class Command(OperatorCommand):
    """Bulk operations."""

    help = (
        "Retry, cancel, delete, restore, move or reprioritise many jobs: named ones, or all that match a filter; "
        "restore archived jobs (unarchive); act on several batches; stop an operation; undo a deletion."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """An action, a selection, and what is done about it."""
        parser.add_argument("action", choices=[*ACTIONS, *BatchAction, *OF_OPERATIONS])
        parser.add_argument("--job", type=an_id, action="append", default=[], help="this job; may be repeated")
        parser.add_argument("--state", choices=STATES, help="jobs in this state; pending: all that was not started")
        parser.add_argument("--batch", type=an_id, help="of this batch and its parts")
        parser.add_argument("--queue", help="of this queue")
        parser.add_argument("--batches", type=an_id, nargs="+", metavar="BATCH", help="the actions on batches: these")
        parser.add_argument("--handler", help="of this handler")
        parser.add_argument("--cause", help="dead letters with this fingerprint; none: without one")
        parser.add_argument("--died-because", help="dead letters with this reason")
        parser.add_argument("--text", help="dead letters with this text in their error")
        parser.add_argument("--since", type=a_moment, help="since this time, by which the list of such jobs is ordered")
        parser.add_argument("--before", type=a_moment, help="before this time")
        parser.add_argument("--outcome", choices=list(Outcome), help="archived jobs with this outcome")
        parser.add_argument("--operation", type=an_id, help="restore, undo: what it has deleted; stop: this one")
        parser.add_argument("--all", action="store_true", help="everything in the state")
        parser.add_argument("--to", help="the new priority, or the other queue")
        parser.add_argument("--reason", default="", help="why, for the activity list")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would happen")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--wait", action="store_true", help="do the work here, until it is done")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> int | None:
        """Count, ask, start, and say what came of it."""
        if options["action"] in OF_OPERATIONS:
            return OF_OPERATIONS[options["action"]](self, options)
        if options["action"] in set(BatchAction):
            return operate_batches.act(self, options)
        if options["batches"]:
            raise UsageError("--batches is for the actions on batches; name one batch with --batch")
        action = Action(options["action"])
        aim = self._aim(action, options["to"])
        found = preview(action=action.value, selection=_selection(options), options=aim)
        if options["dry_run"]:
            self._tell(found)
            return None
        if not found.total:
            raise CommandError("no job matches")
        least = "" if found.exact else "at least "
        question = f"{DEEDS[found.action].verb} {least}{found.eligible:,} jobs?"
        self.ask_for(question, found.eligible, yes=options["yes"])
        operation = operate.start(
            action=action.value,
            selection=found.selection,
            options=aim,
            actor=operator(),
            source="command",
            reason=options["reason"],
        )
        if options["wait"]:
            self.work_off(operation)
        return self.outcome(operation)

    def _aim(self, action: Action, to: str | None) -> dict[str, Any]:
        wanted = DEEDS[action].option
        if bool(wanted) != (to is not None):
            raise UsageError(f"--to: {'name the new ' + wanted if wanted else f'{action} needs none'}")
        return {wanted: to} if wanted else {}

    def _tell(self, found: Preview) -> None:
        if self.as_json:
            facts = {"total": found.total, "eligible": found.eligible, "not_eligible": found.not_eligible}
            self.document({"action": found.action, **facts, "exact": found.exact, "selection": found.selection})
            return
        least = "" if found.exact else "at least "
        self.say(f"{DEEDS[found.action].verb} {least}{found.eligible:,} of {found.total:,} jobs")
        for why, count in found.not_eligible.items():
            self.say(f"  not {count:,}: {why}")

    def ask_for(self, question: str, jobs: int, *, yes: bool) -> None:
        """Ask; for many jobs their number is typed, where somebody sits who can."""
        if yes or jobs <= TYPED_ABOVE or not sys.stdin.isatty():
            self.confirm(question, yes=yes)
            return
        self.stderr.write(f"{question} Type the number of jobs to confirm: ", ending="")
        if digits(input()) != str(jobs):
            raise CommandError("nothing was changed")

    def work_off(self, operation: Operation) -> None:
        """Do the rounds here; where a worker does one, or jobs run that are meant, wait for it."""
        with self.progress(operation.action.replace("_", " "), operation.total) as bar:
            while operation.state == "running":
                if not operate.advance(operation_id=operation.pk):
                    time.sleep(0.1)
                operation.refresh_from_db()
                bar.at(operation.changed + operation.skipped)

    def outcome(self, operation: Operation) -> int | None:
        """Say what came of it."""
        names = ("state", "total", "changed", "skipped", "outcomes")
        if self.as_json:
            self.document({"operation": operation.pk, **{name: getattr(operation, name) for name in names}})
        if operation.state == "running":
            done = f"{operation.changed:,} of {operation.total:,} done"
            self.say(f"operation {operation.pk} goes on in the background: {done}")
            return None
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in operation.outcomes.items())
        self.say(f"operation {operation.pk} is {operation.state}: {counts or 'nothing was changed'}")
        return None if operation.changed else PROBLEM


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: options[name] for name in _FILTERS if options[name] is not None}
    given |= {
        name: options[flag]
        for flag, name in (("cause", "fingerprint"), ("died_because", "reason"))
        if options[flag] is not None
    }
    given |= {name: options[name].isoformat() for name in ("since", "before") if options[name] is not None}
    filters = set(given) - {"state"}
    if options["job"]:
        if given or options["all"]:
            raise UsageError("--job stands alone")
        return {"job_ids": options["job"]}
    if not filters and not options["all"]:
        raise UsageError("name jobs with --job, or give a filter, or --all")
    if filters and options["all"]:
        raise UsageError("--all stands alone, or with --state")
    return given | ({"all": True} if options["all"] else {})
