"""What a person wants with many jobs, read and checked: the action, what else it needs, and which jobs are meant."""

from typing import Any

from queues.domain.operating import ARCHIVED, CANCELLED, DEEDS, Action, why_not
from queues.domain.states import JobState, Priority
from queues.models import Queue
from queues.selectors.figures import queue_names
from queues.services.selection import OperationRefused, Selection


def parse(action: str, options: dict[str, Any] | None = None) -> tuple[Action, dict[str, Any]]:
    """An action and what else it needs: `priority` (a name or number) or `queue` (a name)."""
    try:
        found = Action(action)
    except ValueError:
        raise OperationRefused(f"unknown action {action!r}") from None
    given = options or {}
    wanted = DEEDS[found].option
    if set(given) - {wanted}:
        raise OperationRefused(f"{found}: {', '.join(sorted(set(given) - {wanted}))} says nothing here")
    if wanted and wanted not in given:
        raise OperationRefused(f"{found}: which {wanted}?")
    if wanted == "priority":
        return found, {"priority": _priority(given["priority"])}
    if wanted == "queue":
        queue = Queue.objects.filter(name=str(given["queue"]).replace("\0", "")).first()
        if queue is None:
            raise OperationRefused(f"unknown queue {given['queue']!r}")
        return found, {"queue": queue.name, "queue_id": queue.pk}
    return found, {}


def select(action: Action, selection: dict[str, Any]) -> Selection:
    """What a selection means for an action. Raises `OperationRefused`."""
    by_rows = action in (Action.RETRY_DEAD, Action.DELETE_DEAD, Action.UNARCHIVE)
    meant = Selection(selection, state=DEEDS[action].state, rows_only=by_rows)
    if (meant.state == ARCHIVED) is not (action is Action.UNARCHIVE):
        raise OperationRefused(f"archived jobs can be restored, with the action {Action.UNARCHIVE}, and nothing else")
    if meant.state == CANCELLED and not meant.named and why_not(action, JobState.CANCELLED):
        raise OperationRefused(f"cancelled jobs can be retried, with the action {Action.RETRY}, and nothing else")
    return meant


def choices(action: Action) -> list[str]:
    """What can be chosen as the new priority or queue."""
    option = DEEDS[action].option
    return [priority.label for priority in Priority] if option == "priority" else queue_names() if option else []


def _priority(given: Any) -> int:
    named = {priority.label: priority.value for priority in Priority}
    number = named.get(str(given).lower(), given)
    if number not in named.values():
        raise OperationRefused(f"priority: {given!r} is not one of {', '.join(named)}")
    return int(number)
