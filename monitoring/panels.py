"""Panels: one context function and one template each, whoever asks.

A page shows a panel, a poll asks for it again, and the broadcaster renders it once for all who watch it.
A context function reads from the snapshot it is given, so that panels of one moment share their figures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from monitoring import charts, filters
from monitoring.snapshot import BATCHES_SHOWN, Snapshot
from queues.domain.states import BatchState
from queues.selectors import batches, dead_letters

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


def tiles(ask: Ask) -> Context:
    """The figures at the top of the overview."""
    lines, series = ask.snapshot.queues, ask.snapshot.series
    points = [point for point in series.points if point.seconds >= charts.YOUNGEST]
    return {
        "rate": sum(line.rate for line in lines),
        "spark": charts.sparkline([point.rate(point.total) for point in points]),
        "series": series,
        "waiting": sum(line.waiting for line in lines),
        "scheduled": sum(line.scheduled for line in lines),
        "running": sum(line.running for line in lines),
        "dead": sum(line.dead for line in lines),
        "about": any(line.about for line in lines),
        "least": any(line.least for line in lines),
        "paused": [line.figures.name for line in lines if line.figures.pause],
        "workers": ask.snapshot.workers,
    }


def throughput(ask: Ask) -> Context:
    """The chart of the last fifteen minutes."""
    series = ask.snapshot.series
    idle = series.succeeded + series.retried + series.dead == 0
    return {
        "series": series,
        "chart": charts.stacked_bars(series),
        "minutes": series.coarser(60 // series.bucket).points[::-1],
        "idle": idle,
        "last_end": ask.snapshot.last_end if idle else None,
    }


def queue_table(ask: Ask) -> Context:
    """All queues."""
    return {"lines": ask.snapshot.queues}


def in_progress(ask: Ask) -> Context:
    """Running batches."""
    lines = ask.snapshot.in_progress
    return {"lines": lines[:BATCHES_SHOWN], "more": len(lines) > BATCHES_SHOWN}


def batch_progress(ask: Ask) -> Context:
    """Where the jobs of one batch stand."""
    line = ask.snapshot.batch(ask.batch_id)
    if line is None:
        raise Gone(f"batch {ask.subject}")
    return {"line": line, "now": ask.snapshot.now}


def batch_actions(ask: Ask) -> Context:
    """What can be done with one batch now: links to pages that ask, never buttons that act."""
    line = ask.snapshot.batch(ask.batch_id)
    if line is None:
        raise Gone(f"batch {ask.subject}")
    return {"line": line, "running": line.row.state is BatchState.RUNNING}


def batch_causes(ask: Ask) -> Context:
    """Dead letters of one batch by cause."""
    query = dead_letters.DeadLetterQuery(batch=ask.batch_id)
    return {
        "causes": ask.snapshot.once(("causes", query), lambda: dead_letters.causes(query)),
        "batch_id": ask.batch_id,
    }


def batch_parts(ask: Ask) -> Context:
    """The parts of a parent."""
    rows = ask.snapshot.once(("parts", ask.batch_id), lambda: batches.batch_parts(ask.batch_id))
    return {"lines": ask.snapshot.batch_lines(rows), "limit": batches.PARTS_SHOWN}


def dead_summary(ask: Ask) -> Context:
    """How many dead letters there are, by queue."""
    lines = [line for line in ask.snapshot.queues if line.dead]
    return {
        "dead": sum(line.dead for line in lines),
        "lines": sorted(lines, key=lambda line: -line.dead),
        "about": any(not line.figures.dead_exact for line in lines),
    }


def batch_news(ask: Ask) -> Context:
    """Keys of the newest batches under a filter, by which a list knows how many it does not show."""
    query = filters.batch_query(filters.parse(ask.subject))
    ids = ask.snapshot.once(("news", query), lambda: batches.newest_batches(query, NEWS))
    return {"keys": [filters.batch_key(batch_id) for batch_id in ids]}


def dead_news(ask: Ask) -> Context:
    """The same for dead letters."""
    query = filters.dead_letter_query(filters.parse(ask.subject))
    places = ask.snapshot.once(("news", query), lambda: dead_letters.newest_dead_letters(query, NEWS))
    return {"keys": [filters.dead_letter_key(place) for place in places]}


PANELS = {
    panel.name: panel
    for panel in (
        Panel("tiles", tiles),
        Panel("throughput", throughput, every=2),
        Panel("queues", queue_table),
        Panel("in-progress", in_progress),
        Panel("batch-progress", batch_progress, about="batch"),
        Panel("batch-actions", batch_actions, about="batch"),
        Panel("batch-causes", batch_causes, about="batch", every=3),
        Panel("batch-parts", batch_parts, about="batch", every=2),
        Panel("dead-summary", dead_summary),
        Panel("batch-news", batch_news, about="filter", every=3),
        Panel("dead-news", dead_news, about="filter", every=3),
    )
}


def topic(name: str, subject: str, operate: bool) -> Topic:
    """A topic that exists. Raises `Gone` for a panel or subject that cannot."""
    panel = PANELS.get(name)
    if panel is None:
        raise Gone(f"panel {name}")
    if panel.about == "batch" and not (subject.isascii() and subject.isdigit() and len(subject) <= 18):
        raise Gone(f"batch {subject}")
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


def failed(wanted: Topic, message: str) -> SafeString:
    """The panel's place when it could not be read: the rest of the page goes on."""
    context = {"panel": PANELS[wanted.panel], "topic": wanted, "pushed": True, "message": message}
    return render_to_string("components/_panel_failed.html", context)


def render_all(wanted: Iterable[Topic], snapshot: Snapshot) -> dict[str, SafeString]:
    """The panels of a page by name, with `_` for `-` so that templates can name them."""
    return {one.panel.replace("-", "_"): mark_safe(render(one, snapshot)) for one in wanted}  # noqa: S308
