"""What an operation would do, before anybody has said yes: to how many jobs, to how many not, and why. Reads only."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from queues import store
from queues.domain.operating import (
    ADDING,
    DEEDS,
    GONE,
    IN_TRASH,
    NOT_ARCHIVED,
    RUNNING,
    SAME,
    STOPPING,
    Action,
    command_line,
    why_not,
)
from queues.domain.states import BatchState, JobState
from queues.models import Batch, Chunk
from queues.selectors.clock import database_now
from queues.services import chunk_selection, delete, operation_wish

# Rows that one count may read; with more, the number is the least there can be.
LETTERS = 1_000_000
ARCHIVED_JOBS = 50_000
# Batches that take no work back, of which a preview counts the jobs.
FLAWED = 1_000


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. Where `exact` is false, there are at least as many. `selection` carries the upper bound."""

    action: Action
    total: int
    not_eligible: dict[str, int]
    exact: bool
    selection: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def eligible(self) -> int:
        """Jobs with which it is possible now."""
        return max(0, self.total - sum(self.not_eligible.values()))

    @property
    def command(self) -> str:
        """The command that does the same."""
        return command_line(self.action, self.selection, self.options)


def preview(
    *,
    action: str,
    selection: dict[str, Any],
    options: dict[str, Any] | None = None,
    until: datetime | None = None,
    top: int | None = None,
) -> Preview:
    """Count what an operation would do; `until` and `top` are the bounds of an earlier preview.

    Raises `OperationRefused` for what makes no sense.
    """
    verb, settled = operation_wish.parse(action, options)
    bounded = dict(selection)
    if "job_ids" not in selection and "operation" not in selection:
        bounded.setdefault("until", (until or database_now()).isoformat())
        bounded.setdefault("top", max(1, int(store.one("last_job"))) if top is None else top)
    meant = operation_wish.select(verb, bounded)
    if meant.named and not meant.rows_only:
        total, flaws, exact = _named(verb, meant.named, settled)
    elif (rows := meant.rows()) is not None:
        # One queue of the archive is counted along its index: the table may hold little of it, and far apart.
        along = ("finished_at", "pk") if verb is Action.UNARCHIVE and "queue" in meant.filters else ()
        total, flaws, exact = _counted(rows.order_by(*along), verb)
        if verb is Action.UNARCHIVE and (missing := max(0, len(meant.named) - total)):
            total, flaws = len(meant.named), {**flaws, NOT_ARCHIVED: missing}
    else:
        total, flaws, exact = chunk_selection.counted(meant, _stopping() if verb in ADDING else [])
    return Preview(verb, total, flaws, exact, bounded, settled)


def preview_to(*, action: Action, selection: dict[str, Any], to: str) -> Preview:
    """The same for an action whose new priority or queue, `to`, may be still to be chosen: its command has a gap then.

    Until it is, those are counted that can be cancelled: they can also be moved.
    """
    option = DEEDS[action].option
    if to or not option:
        return preview(action=action.value, selection=selection, options={option: to} if option else {})
    found = preview(action=Action.CANCEL.value, selection=selection)
    return replace(found, action=action, options={option: option.upper()})


def _named(action: Action, jobs: list[int], options: dict[str, Any]) -> tuple[int, dict[str, int], bool]:
    states: dict[int, str] = dict(store.rows("job_state", jobs=jobs))
    flaws: Counter[str] = Counter({GONE: len(jobs) - len(states)})
    possible = []
    for job, state in states.items():
        why = RUNNING if state == JobState.RUNNING else why_not(action, JobState(state))
        flaws[why] += 1
        if not why:
            possible.append(job)
    del flaws[""]
    lanes = Chunk.objects.filter(job__in=possible).values_list("priority", "queue_id")
    if action in (Action.PRIORITY, Action.QUEUE):
        aim = options["priority" if action is Action.PRIORITY else "queue_id"]
        flaws[SAME] += sum(lane[action is Action.QUEUE] == aim for lane in lanes)
    return len(jobs), {why: count for why, count in sorted(flaws.items()) if count}, True


def _counted(rows: "QuerySet[Any]", action: Action) -> tuple[int, dict[str, int], bool]:
    most = ARCHIVED_JOBS if action is Action.UNARCHIVE else LETTERS
    total = rows[: most + 1].count()
    flaws = {}
    if action in ADDING and (numbers := _stopping()):
        flaws[STOPPING] = rows.filter(batch_id__in=numbers).count()
    if action is Action.UNARCHIVE and (numbers := list(delete.trashed()[:FLAWED])):
        flaws[IN_TRASH] = rows.filter(batch_id__in=numbers).count()
    return min(total, most), {why: count for why, count in flaws.items() if count}, total <= most


def _stopping() -> list[int]:
    """Batches that take no work back."""
    stopping = Batch.objects.filter(state=BatchState.RUNNING).exclude(stop_reason="")
    found = list(stopping.values_list("pk", flat=True)[:FLAWED])
    # With their parts, of which some may have ended.
    return found + list(Batch.objects.filter(parent__in=found).values_list("pk", flat=True)[:FLAWED]) if found else []
