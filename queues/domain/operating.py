"""What a person may do with many jobs at once, and with which of them it is possible. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote
from typing import Any

from queues.domain.states import JobState, Priority


class Action(StrEnum):
    """One verb of an operation."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"
    RESTORE = "restore"
    EMPTY = "empty"
    PRIORITY = "priority"
    QUEUE = "queue"
    RETRY_DEAD = "retry_dead"
    DELETE_DEAD = "delete_dead"
    UNARCHIVE = "unarchive"


@dataclass(frozen=True, slots=True)
class Deed:
    """An action in words, and the states of jobs with which it is possible.

    `state` is what a selection means that names none. `option` is the name of what else must be said.
    """

    verb: str
    past: str
    label: str
    consequence: str
    possible: frozenset[JobState]
    state: str
    option: str = ""
    dangerous: bool = False


UNSTARTED = frozenset({JobState.WAITING, JobState.SCHEDULED, JobState.RETRYING, JobState.HELD})
# In a selection: everything that has not been started.
PENDING = "pending"
# What was cancelled and can be retried.
CANCELLED = JobState.CANCELLED.value
# And what has left the hot tables.
ARCHIVED = "archived"
_DEAD = frozenset({JobState.DEAD})
_AGAIN = "They run again with all their attempts, as soon as a worker is free."
_TRASH = "They are moved to the trash and do not run again."

DEEDS: dict[Action, Deed] = {
    Action.RETRY: Deed(
        "Retry", "retried", "retry jobs", _AGAIN,
        frozenset({JobState.DEAD, JobState.CANCELLED, JobState.RETRYING, JobState.SCHEDULED}), "dead",
    ),
    Action.RETRY_DEAD: Deed("Retry", "retried", "retry dead letters", _AGAIN, _DEAD, "dead"),
    Action.CANCEL: Deed(
        "Cancel", "cancelled", "cancel jobs", "They will not run. What runs now or has ended stays as it is.",
        UNSTARTED, PENDING, dangerous=True,
    ),
    Action.DELETE: Deed(
        "Delete", "deleted", "delete jobs", _TRASH, UNSTARTED | _DEAD, "dead", dangerous=True,
    ),
    Action.DELETE_DEAD: Deed(
        "Delete", "deleted", "delete dead letters", _TRASH, _DEAD, "dead", dangerous=True,
    ),
    Action.RESTORE: Deed(
        "Restore", "restored", "restore deleted jobs",
        "They are what they were before: dead letters wait for a person again, all others wait to run.",
        frozenset({JobState.TRASHED}), "trashed",
    ),
    Action.EMPTY: Deed(
        "Remove", "removed", "empty trash", "They leave the trash for good. Nobody can bring them back.",
        frozenset({JobState.TRASHED}), "trashed", dangerous=True,
    ),
    Action.PRIORITY: Deed(
        "Change priority of", "changed", "change priority", "They are served in the order of their new priority.",
        UNSTARTED, PENDING, "priority",
    ),
    Action.QUEUE: Deed(
        "Move", "moved", "change queue", "They wait in the other queue and follow its policy. Their handler stays.",
        UNSTARTED, PENDING, "queue",
    ),
    # No job in any state of its own: archived ones have ended, and have an outcome.
    Action.UNARCHIVE: Deed(
        "Restore", "restored", "restore archived jobs",
        "They leave the archive and run again as new, also those that had succeeded. Their batches run again until "
        "they have ended once more.",
        frozenset(), ARCHIVED, dangerous=True,
    ),
}  # fmt: skip

# Jobs of a leased chunk cannot be touched; the operation comes back to them.
RUNNING = "running now: possible when its run has ended"
GONE = "not there any more"
DIED_LATER = "it has died again since it was asked for"
STOPPING = "its batch is stopping"
NO_BATCH = "its batch is not there any more"
KEY_TAKEN = "its unique key is taken by another job"
SAME = "it is so already"
# Why archived jobs stay where they are.
NOT_ARCHIVED = "no longer in the archive"
IN_TRASH = "its batch is in the trash"
NO_QUEUE = "its queue is not there any more"
NO_CHUNK = "its chunk is gone: see manage.py doctor"
# These put unfinished work into a batch, which one that is stopping does not take.
ADDING = frozenset({Action.RETRY, Action.RETRY_DEAD, Action.RESTORE, Action.PRIORITY, Action.QUEUE, Action.UNARCHIVE})
_WORDS = {
    JobState.SUCCEEDED: "it has succeeded",
    JobState.CANCELLED: "it is cancelled",
    JobState.TRASHED: "it is in the trash",
    JobState.DEAD: "it is a dead letter",
    JobState.WAITING: "it is waiting",
    JobState.SCHEDULED: "it is scheduled",
    JobState.RETRYING: "it waits for its next try",
    JobState.HELD: "it is held",
}


def why_not(action: Action, state: JobState) -> str:
    """Why the action is not possible with a job in this state; nothing where it is."""
    if state in DEEDS[action].possible:
        return ""
    if DEEDS[action].possible == _DEAD:
        return "no longer a dead letter"
    if DEEDS[action].state == "trashed":
        return "no longer in the trash"
    return RUNNING if state is JobState.RUNNING else _WORDS[state]


# What a selection and its options are called on the command line.
_FLAGS = {"fingerprint": "cause", "reason": "died-because"}
_VERBS = {Action.RETRY_DEAD: Action.RETRY, Action.DELETE_DEAD: Action.DELETE}
# As many as can be picked on a page: a command that is cut cannot be run.
_NAMED = 500


def option_words(options: Mapping[str, Any]) -> dict[str, str]:
    """What else an action was told, as a person says it."""
    words = {name: str(value) for name, value in options.items() if name != "queue_id"}
    if isinstance(options.get("priority"), int):
        words["priority"] = Priority(options["priority"]).label
    return words


def command_line(action: Action, selection: Mapping[str, Any], options: Mapping[str, Any], reason: str = "") -> str:
    """The command that does the same; without the bounds of a preview."""
    words = ["manage.py operate", str(_VERBS.get(action, action))]
    words += [f"--to {quote(value)}" for value in option_words(options).values()]
    for name, value in selection.items():
        if name == "job_ids":
            words += [f"--job {job}" for job in value[:_NAMED]] + ["..."] * (len(value) > _NAMED)
        elif name == "all":
            words.append("--all")
        elif name not in ("until", "top"):
            words.append(f"--{_FLAGS.get(name, name)} {quote(str(value))}")
    return " ".join(words + ([f"--reason {quote(reason)}"] if reason else []))
