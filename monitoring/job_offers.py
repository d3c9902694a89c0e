"""What the pages of jobs offer to do: each leads to the one question that all operations ask. Pure."""

from dataclasses import dataclass

from queues.domain.operating import DEEDS, Action, why_not
from queues.domain.states import JobState

# In the order in which they are offered: word and drawing.
WORDS = {
    Action.RETRY: ("Retry", "retry"),
    Action.CANCEL: ("Cancel", "slash"),
    Action.DELETE: ("Delete", "trash"),
    Action.RESTORE: ("Restore", "undo"),
    Action.PRIORITY: ("Priority", "up"),
    Action.QUEUE: ("Move", "right"),
}
# What everybody looks for: where one of these is missing, the reason is given.
EXPECTED = (Action.RETRY, Action.CANCEL, Action.DELETE)
# Filters and states that an operation on everything under a filter understands as the list does.
FILTERS = {"state", "queue", "batch", "handler"}
SELECTABLE = {
    JobState.DEAD, JobState.WAITING, JobState.SCHEDULED, JobState.RETRYING, JobState.HELD, JobState.TRASHED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """An action with jobs in one state, or why it is not possible."""

    action: str
    verb: str
    icon: str
    why_not: str = ""


def offered(state: str) -> list[Offer]:
    """The actions with jobs in a state; for "", any state, those that everybody looks for."""
    offers = []
    for action, (verb, icon) in WORDS.items():
        if not state and action not in EXPECTED:
            continue
        why = why_not(action, JobState(state)) if state else ""
        if not why or action in EXPECTED:
            offers.append(Offer(action.value, verb, icon, why))
    return offers


def offered_to_all(chosen: dict[str, str]) -> list[Offer]:
    """The actions with everything under the filter of a list, where an operation can mean the same."""
    state = chosen.get("state", "")
    if state not in SELECTABLE or set(chosen) - FILTERS:
        return []
    return [one for one in offered(state) if not one.why_not and not DEEDS[Action(one.action)].option]
