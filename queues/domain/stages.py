"""Batches that wait for others: what the ends of those before mean for the one that waits. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from queues.domain.states import AfterPolicy, BatchState

# A batch's stage is a small number in the database; a longer chain than this is a mistake.
DEEPEST = 10_000


class Verdict(StrEnum):
    """What becomes of a batch that waits."""

    WAIT = "wait"
    START = "start"
    STOP = "stop"


def fits(policy: str, state: str) -> bool:
    """Whether a batch has ended in the way that the policy wants. A running one has not."""
    if state == BatchState.RUNNING:
        return False
    return policy == AfterPolicy.ENDED or state == BatchState.COMPLETED


def verdict(policy: str, states: Iterable[str]) -> Verdict:
    """What becomes of a batch whose predecessors stand like this.

    One end that does not fit decides at once; the others are not waited for.
    """
    waits = False
    for state in states:
        if state == BatchState.RUNNING:
            waits = True
        elif not fits(policy, state):
            return Verdict.STOP
    return Verdict.WAIT if waits else Verdict.START


def path(start: int, goal: int, came_from: Mapping[int, int]) -> Sequence[int]:
    """The way from start to goal, told by where each batch was reached from."""
    way = [goal]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]
