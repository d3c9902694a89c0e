"""What `manage.py batches` tells of one batch: its status, its jobs and its errors."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from queues.domain.error_digest import from_document
from queues.management import batch_graph, batch_trashing
from queues.management.base import OperatorCommand, UsageError
from queues.selectors import batches, dead_letters
from queues.selectors.batch_jobs import batch_errors, batch_jobs
from queues.selectors.batch_status import BatchStatus, batch_status


def pairs(texts: list[str]) -> tuple[tuple[str, str], ...]:
    """`key=value` arguments."""
    found = [text.partition("=") for text in texts]
    if wrong := [key for key, equals, _value in found if not equals or not key]:
        raise UsageError(f"--metadata: key=value is needed, not {wrong[0]!r}")
    return tuple((key, value) for key, _equals, value in found)


def show(command: OperatorCommand, row: batches.BatchRow) -> None:
    """One batch: as it was submitted, how it stands, and the causes of its errors."""
    counts = batches.batch_counts([row.id])[row.id]
    status = batch_status(row.id)
    causes = dead_letters.causes(dead_letters.DeadLetterQuery(batch=row.id))
    if command.as_json:
        status_document = {name: value for name, value in asdict(status).items() if name != "error_digest"}
        command.document(
            {
                **asdict(row),
                "counts": asdict(counts),
                "status": status_document,
                "metadata": batches.batch_metadata(row.id),
                **batch_graph.shown(row.id),
                "deleted": batch_trashing.document(row),
                "causes": causes.rows,
                "error_digest": status.error_digest,
            }
        )
        return
    rate = None if status.success_rate is None else f"{status.success_rate:.2%}"
    facts = {**asdict(row), **asdict(counts), "to be tried again": status.failed, "success rate": rate}
    facts["parent_id"] = row.parent_id and str(row.parent_id)
    graph = batch_graph.shown(row.id)
    facts |= {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in graph.items()}
    facts |= batch_trashing.facts(row)
    command.table(("batch", str(row.id)), [(name, value) for name, value in facts.items() if name != "id"])
    if causes.rows:
        found = [(cause.count, cause.fingerprint, cause.error_class, cause.message[:80]) for cause in causes.rows]
        command.table(("dead", "fingerprint", "error", "message"), found)
    _digest(command, status)


def _digest(command: OperatorCommand, status: BatchStatus) -> None:
    if status.error_digest is None:
        return
    digest = from_document(status.error_digest)
    least = "" if digest.exact else " at least"
    command.say(f"\n{digest.tries:,} failed tries of {digest.jobs:,} jobs{least}, by cause:")
    rows = [(c.tries, c.jobs, c.fingerprint, c.error_class, c.message[:80]) for c in digest.causes]
    command.table(("tries", "jobs", "fingerprint", "error", "message"), rows)
    if digest.more_causes:
        command.say(f"and {digest.more_causes:,} more causes with {digest.more_tries:,} tries")


def jobs(command: OperatorCommand, batch: int, options: dict[str, Any]) -> None:
    """The jobs by id."""
    found = batch_jobs(batch, state=options["state"] or None, after=options["after"], limit=options["limit"])
    _list(command, ("job", "state", "priority", "failed tries", "archived"), found)


def errors(command: OperatorCommand, batch: int, options: dict[str, Any]) -> None:
    """The jobs that have failed, each with its last error."""
    found = batch_errors(batch, after=options["after"], limit=options["limit"])
    columns = ("job", "state", "failed tries", "kind", "error", "message", "fingerprint", "at")
    _list(command, columns, found)


def _list(command: OperatorCommand, columns: tuple[str, ...], found: Iterator[Any]) -> None:
    rows = [asdict(row) for row in found]
    if command.as_json:
        command.document(rows)
        return
    texts = [{**row, "job_id": str(row["job_id"])} for row in rows]
    for row in texts:
        if "message" in row:
            row["message"] = row["message"][:80]
    command.table(columns, [tuple(row.values()) for row in texts], empty="no jobs")
