"""The frame of every page: what the rail counts, whether all is well, and what this installation is called.

A page takes what this process has read lately, and asks no more than four small counts once in ten seconds. Whether
all is well is found out only by those who watch, and by the overview.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from monitoring import findings, limits, panels, permissions
from monitoring.attention import Finding, Grade
from monitoring.panels import Ask, Context, Panel, Topic
from monitoring.snapshot import SHARED, Snapshot
from queues.selectors import clock, find

# Seconds that the counts of a page may be old.
OLDEST = 10.0
# How long a verdict counts for those who watch, and for a page that is only loaded.
PATIENCE, KEPT = timedelta(seconds=10), timedelta(seconds=60)
NAME = "frame"
# The worst first, as a verdict counts them.
GRADES = (Grade.PROBLEM, Grade.WARNING, Grade.NOTICE)
# How often a page may be told what is new: seconds, as the page asks the socket.
PACES = (("1", "Live"), ("2", "Every 2 s"), ("5", "Every 5 s"), ("15", "Every 15 s"), ("0", "Paused"))


@dataclass(frozen=True, slots=True)
class Count:
    """A number beside a page's name, and what it counts."""

    of: str
    number: int
    words: str

    @property
    def text(self) -> str:
        """As short as the rail needs it; nothing where there is nothing."""
        if self.number > find.COUNTED:
            text = f"{find.COUNTED // 1_000}k+"
        elif self.number >= 1_000:
            text = f"{self.number // 100 / 10:g}k"
        else:
            text = str(self.number or "")
        return f"{text} paused" if text and self.of == "queues" else text


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much needs attention, as of a moment."""

    at: datetime
    problems: int
    warnings: int
    notices: int

    @property
    def grade(self) -> str:
        """The worst of it."""
        return "problem" if self.problems else "warning" if self.warnings else "notice" if self.notices else "well"

    @property
    def words(self) -> str:
        """For the reader."""
        parts = [(self.problems, "problem"), (self.warnings, "warning"), (self.notices, "notice")]
        return ", ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in parts if count) or "all well"


class Health:
    """The last verdict of this process. It can be lost at any time."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget it."""
        self._last: Verdict | None = None

    def note(self, found: list[Finding], now: datetime) -> Verdict:
        """Remember how much was found of each grade."""
        self._last = Verdict(now, *(sum(one.grade is grade for one in found) for grade in GRADES))
        return self._last

    def last(self, now: datetime, within: timedelta = KEPT) -> Verdict | None:
        """What was found within this time."""
        last = self._last
        return last if last and abs(now - last.at) < within else None


HEALTH = Health()


def frame(ask: Ask) -> Context:
    """For those who watch."""
    snapshot = ask.snapshot
    verdict = HEALTH.last(snapshot.now, PATIENCE) or HEALTH.note(findings.gather(snapshot), snapshot.now)
    return _context(snapshot, verdict)


def of_page(user: Any) -> dict[str, object]:
    """For a page: the panel, the counts by what they count (none where reading them took too long), the label."""
    snapshot = SHARED.get(time.monotonic(), OLDEST)
    found = limits.attempt(lambda: _read(snapshot)) or {"counts": []}
    operate = permissions.may_operate(user)
    return {
        "role": _role(user) if operate else "viewer: may look",
        "panel": panels.show(Topic(NAME, "", operate), found, pushed=False),
        "counts": {one.of.replace("-", "_"): one for one in found["counts"]},
        "paces": PACES,
        "environment": settings.CONSOLE_ENVIRONMENT,
        "colour": settings.CONSOLE_ENVIRONMENT_COLOUR,
    }


def register() -> None:
    """Make the panel known."""
    panels.add(Panel(NAME, frame, every=2))


def _read(snapshot: Snapshot) -> Context:
    with clock.bounded(limits.seconds()):
        return _context(snapshot, HEALTH.last(snapshot.now))


def _context(snapshot: Snapshot, verdict: Verdict | None) -> Context:
    found = snapshot.once("counts of things", find.counts)
    shown = [
        Count("batches", found.batches, _words(found.batches, "batch", "batches", "in progress")),
        Count("dead-letters", found.dead, _words(found.dead, "dead letter", "dead letters", "for a person")),
        Count("queues", found.paused, _words(found.paused, "queue", "queues", "paused")),
        Count("operations", found.operations, _words(found.operations, "operation", "operations", "in progress")),
    ]
    return {"counts": shown, "operations": shown[-1], "verdict": verdict}


def _role(user: Any) -> str:
    all_of_it = permissions.may_empty_trash(user)
    return "administrator: may do everything" if all_of_it else "operator: may look and act"


def _words(number: int, one: str, many: str, rest: str) -> str:
    least = f"{find.COUNTED:,}+" if number > find.COUNTED else f"{number:,}"
    return f"{least} {one if number == 1 else many} {rest}"
