"""What a person may do with several batches at once, and with which of them it is possible. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from queues.domain.operating import GONE
from queues.domain.states import BatchState

# Batches of one operation: each is a round of its own.
MOST = 1_000


class BatchAction(StrEnum):
    """One verb of an operation on batches."""

    CANCEL = "cancel_batches"
    PAUSE = "pause_batches"
    RESUME = "resume_batches"
    RETRY = "retry_batches"
    DELETE = "delete_batches"
    RESTORE = "restore_batches"


@dataclass(frozen=True, slots=True)
class BatchDeed:
    """An action in words."""

    verb: str
    past: str
    label: str
    consequence: str
    dangerous: bool = False


BATCH_DEEDS = {
    BatchAction.CANCEL: BatchDeed(
        "Cancel", "cancelled", "cancel batches",
        "What waits will not run; what runs stops before its next job, within two seconds. What has succeeded stays.",
        dangerous=True,
    ),
    BatchAction.PAUSE: BatchDeed(
        "Pause", "paused", "pause batches",
        "What waits is held until somebody resumes them, and so is what is to be tried again. What runs is finished.",
    ),
    BatchAction.RESUME: BatchDeed(
        "Resume", "resumed", "resume batches", "What the pause holds runs as soon as a worker is free.",
    ),
    BatchAction.RETRY: BatchDeed(
        "Retry what failed of", "retried", "retry batches",
        "Their dead letters run again with all their attempts; batches that have ended run again.",
    ),
    BatchAction.DELETE: BatchDeed(
        "Delete", "deleted", "delete batches", "They go to the trash with all their jobs, whole.", dangerous=True,
    ),
    BatchAction.RESTORE: BatchDeed(
        "Restore", "restored", "restore batches", "They leave the trash with all their jobs, as they were.",
    ),
}  # fmt: skip
DONE = frozenset(deed.past for deed in BATCH_DEEDS.values())

ENDED = "it has ended"
STOPPING = "it is stopping"
PART = "it is a part: do it with its parent"
PAUSED = "it is paused already"
NOT_PAUSED = "it is not paused"
NOTHING_DEAD = "nothing of it is dead"
UNFINISHED = "jobs of it run or wait: cancel it first"
IN_TRASH = "it is in the trash"
NOT_IN_TRASH = "it is not in the trash any more"
# What only the deed itself finds out: the words are kept beside.
REFUSED = "refused, each for a reason of its own"


@dataclass(frozen=True, slots=True)
class Facts:
    """How one batch stands."""

    state: BatchState
    stopping: bool = False
    paused: bool = False
    part: bool = False
    trashed: bool = False
    dead: int = 0


def why_not(action: BatchAction, facts: Facts | None) -> str:
    """Why the action is not possible with a batch that stands so; nothing where it is. None is no batch."""
    if facts is None:
        return GONE
    return next((why for why, applies in _reasons(action, facts) if applies), "")


def _reasons(action: BatchAction, facts: Facts) -> list[tuple[str, bool]]:
    """What can stand against an action, in the order in which it is told, and whether it does."""
    going = facts.state is BatchState.RUNNING
    trashed, stopping = (IN_TRASH, facts.trashed), (STOPPING, going and facts.stopping)
    ended, part = (ENDED, not going), (PART, facts.part)
    return {
        BatchAction.CANCEL: [trashed, stopping, ended],
        BatchAction.PAUSE: [trashed, stopping, ended, part, (PAUSED, facts.paused)],
        BatchAction.RESUME: [trashed, stopping, ended, part, (NOT_PAUSED, not facts.paused)],
        BatchAction.RETRY: [trashed, stopping, (NOTHING_DEAD, not facts.dead)],
        BatchAction.DELETE: [trashed, part, (UNFINISHED, going)],
        BatchAction.RESTORE: [(NOT_IN_TRASH, not facts.trashed)],
    }[action]


def command_line(action: BatchAction, batches: Collection[int | str], reason: str = "") -> str:
    """The command that does the same."""
    words = [f"manage.py operate {action} --batches", *map(str, batches)]
    return " ".join(words + ([f"--reason {quote(reason)}"] if reason else []))
