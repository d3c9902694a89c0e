"""What `manage.py operate` does with several batches, and with an operation: it stops one, and undoes a deletion."""

from typing import TYPE_CHECKING, Any

from queues.domain.batch_deeds import BATCH_DEEDS
from queues.management.base import UsageError, operator
from queues.models import Operation
from queues.selectors import operations
from queues.services import operate, operate_batches
from queues.services.operate import OperationRefused

if TYPE_CHECKING:
    from queues.management.commands.operate import Command

# Filters and names of jobs, which say nothing about batches or an operation.
_OF_JOBS = ("job", "state", "batch", "queue", "handler", "cause", "died_because", "text", "since", "before", "outcome")


def act(command: "Command", options: dict[str, Any]) -> int | None:
    """Count, ask, do it with each batch, and say what came of it."""
    _nothing_else(options, "operation", *_OF_JOBS)
    found = operate_batches.preview(action=options["action"], batches=options["batches"] or [])
    if options["dry_run"]:
        _tell(command, found)
        return None
    verb, possible = BATCH_DEEDS[found.action].verb, len(found.eligible)
    question = f"{verb} {possible} of {len(found.named)} batches, with {found.jobs:,} jobs?"
    command.ask_for(question, found.jobs, yes=options["yes"])
    operation = operate_batches.start(
        action=found.action.value,
        batches=found.named,
        actor=operator(),
        source="command",
        reason=options["reason"],
    )
    if options["wait"]:
        command.work_off(operation)
    return command.outcome(operation)


def undo(command: "Command", options: dict[str, Any]) -> int | None:
    """Bring back what an operation has deleted; one that still runs is stopped by that."""
    number = _operation(options)
    command.confirm(f"Bring back what operation {number} has deleted?", yes=options["yes"])
    done = operate.undo(operation_id=number, actor=operator(), source="command", reason=options["reason"])
    if done.pk == number:
        command.say(f"operation {number} is stopped: nothing had been deleted yet")
        return None
    if options["wait"]:
        command.work_off(done)
    return command.outcome(done)


def stop(command: "Command", options: dict[str, Any]) -> None:
    """Stop an operation after its present round; the rest is left alone."""
    number = _operation(options)
    row = operations.operation(number)
    if row is None or not row.running:
        raise OperationRefused(f"operation {number} is {row.state} already" if row else f"unknown operation {number}")
    command.confirm(
        f"Stop operation {number}, with {row.done:,} of {row.total:,} {row.things} done?", yes=options["yes"]
    )
    if not operate.cancel_operation(operation_id=number, actor=operator(), source="command", reason=options["reason"]):
        raise OperationRefused(f"operation {number} has ended meanwhile")
    command.outcome(Operation.objects.get(pk=number))


def _operation(options: dict[str, Any]) -> int:
    _nothing_else(options, "batches", *_OF_JOBS)
    if options["operation"] is None:
        raise UsageError(f"{options['action']}: name the operation with --operation")
    number: int = options["operation"]
    return number


def _tell(command: "Command", found: operate_batches.BatchPreview) -> None:
    if command.as_json:
        facts = {"batches": found.named, "eligible": found.eligible, "not_eligible": found.not_eligible}
        command.document({"action": found.action, **facts, "jobs": found.jobs})
        return
    deed = BATCH_DEEDS[found.action]
    command.say(f"{deed.verb} {len(found.eligible)} of {len(found.named)} batches, with {found.jobs:,} jobs")
    for why, count in found.not_eligible.items():
        command.say(f"  not {count:,}: {why}")


def _nothing_else(options: dict[str, Any], *names: str) -> None:
    given = [name for name in names if options[name]] + ["all"] * options["all"] + ["to"] * (options["to"] is not None)
    if given:
        raise UsageError(f"{options['action']}: --{given[0].replace('_', '-')} says nothing here")
