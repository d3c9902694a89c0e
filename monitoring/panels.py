"""Panels: one context function and one template each, whoever asks.

A page shows a panel, a poll asks for it again, and the broadcaster renders it once for all who watch it.
A context function reads from the snapshot it is given, so that panels of one moment share their figures.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from monitoring import filters, limits, queue_filters, request_ids
from monitoring.snapshot import BATCHES_SHOWN, Snapshot
from queues.selectors import dead_letters

logger = logging.getLogger(__name__)
Context = dict[str, Any]
NEWS = 100
# What a panel is about whose subject are the ids of the rows of a list.
ROWS = "rows"


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
    """A part of a page. `every` is how many ticks it may be old; `about` is the kind of its subject.

    One about `ROWS` has no place of its own: it tells what has changed in rows that the page shows already.
    """

    name: str
    context: Callable[[Ask], Context]
    about: str = ""
    every: int = 1

    @property
    def template(self) -> str:
        """Its own template, named after it."""
        return f"monitoring/_{self.name.replace('-', '_')}.html"

    @property
    def words(self) -> str:
        """What it is called where it cannot show itself."""
        return self.name.replace("-", " ").capitalize()

    @property
    def of_rows(self) -> bool:
        """Whether it tells of the rows of a list."""
        return self.about == ROWS


class Topic(NamedTuple):
    """What a socket watches: a panel, its subject, and the permission class of the watcher."""

    panel: str
    subject: str
    operate: bool


def queue_table(ask: Ask) -> Context:
    """The queues, or where there are many the busiest."""
    lines = ask.snapshot.queues
    return {"lines": queue_filters.busiest(lines), "all": len(lines)}


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
    chosen = filters.parse(ask.subject)
    if filters.flaw(chosen):
        # The page itself says what is wrong.
        return {"keys": []}
    query = filters.dead_letter_query(chosen)
    places = ask.snapshot.once(("news", query), lambda: dead_letters.newest_dead_letters(query, NEWS))
    return {"keys": [filters.dead_letter_key(place) for place in places]}


PANELS = {
    panel.name: panel
    for panel in (
        Panel("queues", queue_table),
        Panel("in-progress", in_progress),
        Panel("dead-summary", dead_summary),
        Panel("dead-news", dead_news, about="filter", every=2),
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
    try:
        return _topic(name, subject, operate)
    except filters.Unclear as error:
        raise Gone(str(error)) from None


def _topic(name: str, subject: str, operate: bool) -> Topic:
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
    return permitted(Topic(name, subject if panel.about else "", False), operate)


def permitted(wanted: Topic, operate: bool) -> Topic:
    """The topic for somebody who may or may not act. A row is the same for both, so that all share it."""
    return wanted._replace(operate=operate and not PANELS[wanted.panel].of_rows)


def watched(name: str, subject: str, operate: bool) -> list[Topic]:
    """What a socket watches for a panel: each row by itself, for many lists may show it. Raises `Gone`."""
    whole = topic(name, subject, operate)
    if not PANELS[name].of_rows:
        return [whole]
    return [whole._replace(subject=one) for one in whole.subject.split("-")]


def render(wanted: Topic, snapshot: Snapshot, *, pushed: bool = False) -> SafeString:
    """The panel as HTML; `pushed` marks it as a fragment that finds its place by itself."""
    return show(wanted, read(wanted, snapshot), pushed=pushed)


def read(wanted: Topic, snapshot: Snapshot) -> Context:
    """What the panel tells. Raises `Gone`, also for a filter that cannot be understood: its page says why."""
    try:
        return PANELS[wanted.panel].context(Ask(snapshot, wanted.subject, wanted.operate))
    except filters.Unclear as error:
        raise Gone(str(error)) from None


def show(wanted: Topic, found: Context, *, pushed: bool) -> SafeString:
    """The same as HTML."""
    panel = PANELS[wanted.panel]
    context = {"panel": panel, "topic": wanted, "pushed": pushed, "operate": wanted.operate, **found}
    return render_to_string(panel.template, context)


def failed(wanted: Topic, message: str, *, pushed: bool = True) -> SafeString:
    """The panel's place when it could not be read: the rest of the page goes on."""
    about = {"message": message, "request_id": request_ids.current()}
    context = {"panel": PANELS[wanted.panel], "topic": wanted, "pushed": pushed, **about}
    return render_to_string("components/_panel_failed.html", context)


def render_calmly(wanted: Topic, snapshot: Snapshot) -> SafeString:
    """The panel for a poll or a page, or a word that reading it takes too long or has failed: the rest goes on."""
    try:
        html = limits.attempt(lambda: render(wanted, snapshot))
    except Gone:
        raise
    except Exception:
        logger.exception("panel %s could not be read", wanted.panel)
        return failed(wanted, "This part of the page could not be read; the error is in the log.", pushed=False)
    if html is not None:
        return html
    message = f"Reading this took longer than {limits.seconds():g} s and was stopped. {limits.NARROWER}"
    return failed(wanted, message, pushed=False)


def render_all(wanted: Iterable[Topic], snapshot: Snapshot) -> dict[str, SafeString]:
    """The panels of a page by name, with `_` for `-` so that templates can name them. Of its rows only the place
    where news of them arrives: the page shows them itself."""
    return {
        one.panel.replace("-", "_"): show(one, {"lines": []}, pushed=False)
        if PANELS[one.panel].of_rows
        else render_calmly(one, snapshot)
        for one in wanted
    }
