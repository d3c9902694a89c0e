"""What `manage.py batches` does with the trash: delete to it or for good, and tell what lies in it until when."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues.domain.states import BatchState
from queues.management.base import OperatorCommand, operator, shown
from queues.models import Operation
from queues.selectors import batch_trash, batches, trash
from queues.services import operate
from queues.services.delete import begins, delete_batch, waits


def add_verbs(verbs: Any) -> tuple[ArgumentParser, ArgumentParser]:
    """`delete` and `restore`."""
    hours = f"{trash.kept().total_seconds() / 3_600:g} hours"
    away = verbs.add_parser(
        "delete",
        help="a finished batch, with everything of it: to the trash, or for good",
        description=f"Delete a finished batch with everything of it. It lies in the trash for {hours}, and until then "
        "`batches restore` brings it back, whole. With --for-good it is removed at once, also when it is in the trash "
        "already: that cannot be undone.",
    )
    where = away.add_mutually_exclusive_group()
    where.add_argument("--trash", action="store_true", help="keep it for a while: what happens without it, too")
    where.add_argument("--for-good", action="store_true", help="remove it now; cannot be undone")
    back = verbs.add_parser("restore", help="take a deleted batch out of the trash")
    return away, back


def delete(command: OperatorCommand, row: batches.BatchRow, options: dict[str, Any]) -> None:
    """Put a batch into the trash, or remove it; one that is there already stays there, unless it is to go for good."""
    gone, kept = batch_trash.in_trash(row.id), None if options["for_good"] else trash.kept()
    if gone is not None and gone.restorable and kept:
        _tell(command, row.id, gone.begins, "is in the trash already, until {}; nothing was changed")
        return
    if row.state is not BatchState.RUNNING:
        where = f" It can be restored for {kept.total_seconds() / 3_600:g} hours." if kept else ""
        for_good = "" if kept else " for good"
        command.confirm(f"Delete batch {row.id} and its {row.total:,} jobs{for_good}?{where}", yes=options["yes"])
    operation = delete_batch(batch_id=row.id, actor=operator(), source="command", reason=options["reason"], keep=kept)
    if waits(operation):
        _tell(
            command, row.id, begins(operation), f"is in the trash until {{}}: `batches restore {row.id}` brings it back"
        )
    else:
        _work_off(command, operation, f"delete batch {row.id}")


def document(row: batches.BatchRow) -> dict[str, Any] | None:
    """Who deleted a batch, when, why, and until when it can be restored; None for one that is not deleted."""
    found = _deletion(row)
    if found is None:
        return None
    told = asdict(found)
    return {name: told[name] for name in ("by", "at", "reason", "operation")} | {
        "restorable_until": found.begins if found.restorable else None,
        "jobs_removed": found.gone,
    }


def facts(row: batches.BatchRow) -> dict[str, Any]:
    """The same for a person; nothing for a batch that is not deleted."""
    found = _deletion(row)
    if found is None:
        return {}
    where = (
        {"in the trash until": found.begins} if found.restorable else {"being removed since": found.begins or found.at}
    )
    return where | {"deleted by": found.by, "deleted at": found.at, "deleted because": found.reason}


def unknown(number: int) -> str:
    """Why there is no batch of this number."""
    found = batch_trash.deleted(number)
    if found is None:
        return f"unknown batch {number}"
    reason = f", because: {found.reason}" if found.reason else ""
    return f"batch {number} is not there any more: it was deleted by {found.by} at {shown(found.at)}{reason}"


def _deletion(row: batches.BatchRow) -> batch_trash.Deleted | None:
    """A part goes with its parent."""
    return batch_trash.in_trash(row.parent_id or row.id)


def _tell(command: OperatorCommand, batch: int, until: Any, text: str) -> None:
    if command.as_json:
        command.document({"batch": batch, "trashed": True, "until": until})
    command.say(f"batch {batch} {text.format(shown(until))}")


def _work_off(command: OperatorCommand, operation: Operation, text: str) -> None:
    """Do the rounds of a deletion here."""
    with command.progress(text, operation.total) as bar:
        while operate.advance(operation_id=operation.pk):
            operation.refresh_from_db()
            bar.at(operation.changed)
    operation.refresh_from_db()
    batch = operation.selection["batch"]
    if operation.state == "cancelled":
        raise CommandError(f"batch {batch} runs again: what was left of it is not deleted")
    if command.as_json:
        command.document(
            {"batch": batch, "operation": operation.pk, "state": operation.state, "jobs": operation.changed}
        )
    going = "" if operation.state == "done" else ": a worker goes on with it"
    command.say(f"batch {batch}: {operation.changed:,} jobs deleted{going}")
