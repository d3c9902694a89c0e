"""What `manage.py batches` does with a whole batch: waits for its end, retries it, links it with others."""

from typing import Any

from django.core.management.base import CommandError

from queues.domain.states import BatchState
from queues.management.base import PROBLEM, OperatorCommand, operator
from queues.models import Batch
from queues.selectors import batches
from queues.selectors.graph import links
from queues.services.again import retry_batch
from queues.services.link import link
from queues.waiting import wait as wait_for_end


def wait(command: OperatorCommand, row: batches.BatchRow, timeout: int | None) -> batches.BatchRow:
    """Until the batch has ended, with a progress bar on a terminal; as it stands then."""
    with command.progress(row.name or f"batch {row.id}", row.total) as bar:
        try:
            wait_for_end(row.id, timeout, progress=lambda: bar.at(batches.batch_counts([row.id])[row.id].ended))
        except TimeoutError as error:
            raise CommandError(str(error)) from None
        except LookupError:
            raise CommandError(f"batch {row.id} is not there any more") from None
    found = batches.batch(row.id)
    if found is None:
        raise CommandError(f"batch {row.id} is not there any more")
    return found


def exit_code(row: batches.BatchRow) -> int:
    """0 when every job has succeeded."""
    return 0 if row.state is BatchState.COMPLETED else PROBLEM


def retry(command: OperatorCommand, row: batches.BatchRow, options: dict[str, Any]) -> None:
    """What died goes back; with `--all`, all jobs become a new batch."""
    every = options["all"]
    what = f"all {row.total:,} jobs of batch {row.id} as a new batch" if every else f"what died of batch {row.id}"
    command.confirm(f"Retry {what}?", yes=options["yes"])
    made = retry_batch(row.id, "all" if every else "dead", actor=operator(), source="command", reason=options["reason"])
    if isinstance(made, Batch):
        if command.as_json:
            command.document({"batch": row.id, "retried_as": made.pk, "jobs": made.total})
        command.say(f"batch {made.pk}: {made.total:,} jobs, those of batch {row.id} anew")
        return
    if command.as_json:
        command.document({"batch": row.id, "operation": made.pk, "state": made.state, "jobs": made.changed})
    going = "" if made.state == "done" else f"; operation {made.pk} goes on with the rest"
    command.say(f"batch {row.id}: {made.changed:,} of {made.total:,} dead letters go back{going}")


def tie(command: OperatorCommand, row: batches.BatchRow, options: dict[str, Any]) -> None:
    """Let another batch wait for this one."""
    link(row.id, options["after"], actor=operator(), source="command", reason=options["reason"])
    if command.as_json:
        command.document({"before": row.id, "after": options["after"]})
    command.say(f"batch {options['after']} waits for batch {row.id}")


def shown(batch: int) -> dict[str, Any]:
    """Its place in the graph, for `batches show`."""
    found = links(batch)
    if found is None:
        return {}
    return {
        "stage": found.stage,
        "after_policy": found.after_policy,
        "waits_for": [row.id for row in found.waits_for],
        "followed_by": [row.id for row in found.followed_by],
        "then": found.then_handler,
    }
