"""What needs a person, worst first. Pure: findings go in, an ordered and shortened list comes out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum

MOST = 8


class Grade(IntEnum):
    """How bad it is. The word and the shape say it as well as the colour."""

    NOTICE = 1
    WARNING = 2
    PROBLEM = 3

    @property
    def word(self) -> str:
        """For the reader."""
        return self.name.lower()


# What comes first among findings of one grade: what stops work before what spoils it, and that before what is late.
KINDS = (
    "standstill",
    "workers",
    "control",
    "hand-over",
    "reap",
    "finish",
    "rising",
    "cause",
    "upstream",
    "refusing",
    "paused",
    "left",
    "lost",
    "silent",
    "webhook",
    "archive",
    "slots",
    "dead",
)


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done: a place in the console, or a command to copy. One that changes something asks first."""

    words: str
    url: str = ""
    command: str = ""
    operate: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not go by itself. `subject` is what it is about, `weight` how much, `since` for how long;
    `id` tells those of one name apart."""

    kind: str
    grade: Grade
    subject: str
    text: str
    action: Action
    weight: float = 0.0
    since: timedelta = field(default=timedelta())
    id: str = ""

    @property
    def key(self) -> str:
        """By which a page knows it again."""
        return f"{self.kind}-{self.id or self.subject}"


def ranked(findings: Iterable[Finding], most: int = MOST) -> tuple[list[Finding], int]:
    """The worst ones, and how many more there are. Of two findings of one kind about one thing the worse one counts."""
    worst: dict[str, Finding] = {}
    for one in findings:
        old = worst.get(one.key)
        if old is None or _badness(one) < _badness(old):
            worst[one.key] = one
    ordered = sorted(worst.values(), key=_badness)
    return ordered[:most], max(0, len(ordered) - most)


def rising(lately: int, before: int) -> bool:
    """Whether deaths rise: at least five in this span, and more than twice those of the span before it."""
    return lately >= 5 and lately > 2 * before


def _badness(one: Finding) -> tuple[int, int, float, float, str]:
    place = KINDS.index(one.kind) if one.kind in KINDS else len(KINDS)
    # The longest and largest first; the name last, so that rows of equal weight keep their places.
    return (-one.grade, place, -one.weight, -round(one.since.total_seconds(), -1), one.key)
