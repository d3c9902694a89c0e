"""Panels: one context function and one template each, whoever asks.

A page shows a panel, a poll asks for it again, and the broadcaster renders it once for all who watch it.
A context function reads from the snapshot it is given, so that panels of one moment share their figures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from monitoring import filters, limits
from monitoring.snapshot import BATCHES_SHOWN, Snapshot
from queues.selectors import dead_letters

Context = dict[str, Any]
NEWS = 100


class Gone(LookupError):
    """What the panel is about does not exist (any more)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a panel may know of the question: the moment, its object and whether the asker may act.

    Nothing else: what is rendered for one is sent to all who ask the same.
    """

    snapshot: Snapshot
    subject: str = ""
    operate: bool = False

    @property
    def batch_id(self) -> int:
        """The subject as the id of a batch."""
        return int(self.subject)


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a page. `every` is how many ticks it may be old; `about` is the kind of its subject."""

    name: str
    context: Callable[[Ask], Context]
    about: str = ""
    every: int = 1

    @property
    def template(self) -> str:
        """Its own template, named after it."""
        return f"monitoring/_{self.name.replace('-', '_')}.html"


class Topic(NamedTuple):
    """What a socket watches: a panel, its subject, and the permission class of the watcher."""

    panel: str
    subject: str
    operate: bool


def queue_table(ask: Ask) -> Context:
    """All queues."""
    return {"lines": ask.snapshot.queues}


def in_progress(ask: Ask) -> Context:
    """Running batches."""
    lines = ask.snapshot.in_progress
    return {"lines": lines[:BATCHES_SHOWN], "more": len(lines) > BATCHES_SHOWN}


def dead_summary(ask: Ask) -> Context:
    """How many dead letters there are, by queue."""
    lines = [line for line in ask.snapshot.queues if line.dead]
    return {
        "dead": sum(line.dead for line in lines),
        "lines": sorted(lines, key=lambda line: -line.dead),
        "about": any(not line.figures.dead_exact for line in lines),
    }


def dead_news(ask: Ask) -> Context:
    """The same for dead letters."""
    query = filters.dead_letter_query(filters.parse(ask.subject))
    places = ask.snapshot.once(("news", query), lambda: dead_letters.newest_dead_letters(query, NEWS))
    return {"keys": [filters.dead_letter_key(place) for place in places]}


PANELS = {
    panel.name: panel
    for panel in (
        Panel("queues", queue_table),
        Panel("in-progress", in_progress),
        Panel("dead-summary", dead_summary),
        Panel("dead-news", dead_news, about="filter", every=3),
    )
}


# The kinds of subject that other modules add with their panels: the one spelling of each, or `Gone`.
SUBJECTS: dict[str, Callable[[str], str]] = {}


def add(*more: Panel, **subjects: Callable[[str], str]) -> None:
    """Add panels, and the kinds of subject they are about."""
    PANELS.update({panel.name: panel for panel in more})
    SUBJECTS.update(subjects)


def topic(name: str, subject: str, operate: bool) -> Topic:
    """A topic that exists. Raises `Gone` for a panel or subject that cannot."""
    panel = PANELS.get(name)
    if panel is None:
        raise Gone(f"panel {name}")
    if panel.about == "batch" and not (subject.isascii() and subject.isdigit() and len(subject) <= 18):
        raise Gone(f"batch {subject}")
    if panel.about in SUBJECTS:
        subject = SUBJECTS[panel.about](subject)
    if panel.about == "filter":
        # One spelling for each filter, so that all who filter alike share one topic.
        subject = filters.canonical(subject)
    return Topic(name, subject if panel.about else "", operate)


def render(wanted: Topic, snapshot: Snapshot, *, pushed: bool = False) -> SafeString:
    """The panel as HTML; `pushed` marks it as a fragment that finds its place by itself."""
    panel = PANELS[wanted.panel]
    ask = Ask(snapshot, wanted.subject, wanted.operate)
    context = {
        "panel": panel,
        "topic": wanted,
        "pushed": pushed,
        "operate": wanted.operate,
        **panel.context(ask),
    }
    return render_to_string(panel.template, context)


def failed(wanted: Topic, message: str, *, pushed: bool = True) -> SafeString:
    """The panel's place when it could not be read: the rest of the page goes on."""
    context = {"panel": PANELS[wanted.panel], "topic": wanted, "pushed": pushed, "message": message}
    return render_to_string("components/_panel_failed.html", context)


def render_calmly(wanted: Topic, snapshot: Snapshot) -> SafeString:
    """The panel for a page, or a word that reading it takes too long."""
    html = limits.attempt(lambda: render(wanted, snapshot))
    if html is not None:
        return html
    message = f"Reading this took longer than {limits.seconds():g} s and was stopped. {limits.NARROWER}"
    return failed(wanted, message, pushed=False)


def render_all(wanted: Iterable[Topic], snapshot: Snapshot) -> dict[str, SafeString]:
    """The panels of a page by name, with `_` for `-` so that templates can name them."""
    return {one.panel.replace("-", "_"): render_calmly(one, snapshot) for one in wanted}
