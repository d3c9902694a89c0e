"""What the pages of jobs offer to do: each leads to the one question that all operations ask. Pure."""

from dataclasses import dataclass

from queues.domain.operating import DEEDS, PENDING, UNSTARTED, Action, why_not
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
# Filters that an operation on everything understands as the list does, by what it calls them.
FILTERS = {name: name for name in ("state", "queue", "batch", "handler", "since")} | {"until": "before"}
DEAD_FILTERS = FILTERS | {"error": "text"}
SELECTABLE = {
    PENDING, JobState.DEAD, JobState.WAITING, JobState.SCHEDULED, JobState.RETRYING, JobState.HELD, JobState.TRASHED,
    JobState.CANCELLED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """An action with jobs in one state, or why it is not possible; `opens` when something is chosen first."""

    action: str
    verb: str
    icon: str
    why_not: str = ""
    opens: bool = False


def offered(state: str) -> list[Offer]:
    """The actions with jobs in a state; for "", any state, those that everybody looks for."""
    states = sorted(UNSTARTED) if state == PENDING else [JobState(state)] if state else []
    offers = []
    for action in WORDS:
        if not state and action not in EXPECTED:
            continue
        why = next((why for one in states if (why := why_not(action, one))), "")
        if not why or action in EXPECTED:
            offers.append(_offer(action, why))
    return offers


def explained(state: JobState, *, archived: bool) -> list[Offer]:
    """Every action with one job, and why it is not possible where it is not."""
    if archived:
        # Brought back from there by a page of its own.
        why = "it is in the archive: restore it first"
        return [_offer(action, "" if action is Action.RESTORE else why) for action in WORDS]
    reasons = {action: why_not(action, state) for action in WORDS}
    if reasons[Action.RESTORE]:
        reasons[Action.RESTORE] = "it is not in the trash"
    return [_offer(action, why) for action, why in reasons.items()]


def _offer(action: Action, why: str) -> Offer:
    return Offer(action.value, *WORDS[action], why, bool(DEEDS[action].option))


@dataclass(frozen=True, slots=True)
class Everything:
    """All that matches a filter, as an operation takes it; or why it cannot be meant at once."""

    fields: dict[str, str]
    why_not: str = ""


def everything(chosen: dict[str, str]) -> Everything:
    """All jobs under the filter of a list. What an operation does not know as a filter must not be left out by it."""
    state = chosen.get("state", "")
    if state not in SELECTABLE:
        other = f"All {state} jobs cannot be changed at once" if state else "To change all that match, choose a state"
        return Everything({}, f"{other}: select rows.")
    names = DEAD_FILTERS if state == JobState.DEAD else FILTERS
    if unknown := [name for name in chosen if name not in names]:
        return Everything({}, f"To change all that match, drop {' and '.join(unknown)}; or select rows.")
    return Everything({names[name]: value for name, value in chosen.items()})
