"""Rows of lists, which keep their places: what they tell changes in them, and nothing else.

A page names the rows it shows by their ids. A socket watches each of them by itself: a row is read once for all
lists that show it, however they are filtered, and is sent only when it has changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from monitoring.panels import PANELS, ROWS, Ask, Context, Gone, Panel, Topic
from monitoring.snapshot import Snapshot

# Rows of one list that are live.
MOST = 200
Read = Callable[[Snapshot, list[int]], Mapping[int, Any]]


def panel(kind: str, read: Read, *, every: int = 1) -> Panel:
    """The panel of a kind of rows. `read` finds some of them at once; those it does not find are gone."""

    name = f"{kind}-rows"

    def context(ask: Ask) -> Context:
        wanted = [int(one) for one in ask.subject.split("-")]
        found = ask.snapshot.several(name, wanted, lambda ids: read(ask.snapshot, ids))
        return {"lines": [(one, found.get(one)) for one in wanted]}

    return Panel(name, context, about=ROWS, every=every)


def watched(kind: str, ids: Sequence[int]) -> list[tuple[str, str]]:
    """The panel of the rows that a page shows, as the page wants it; none for none."""
    return [(f"{kind}-rows", "-".join(map(str, ids[:MOST])))] if ids else []


def canonical(text: str) -> str:
    """The one spelling of some rows. Raises `Gone`."""
    parts = text.split("-")
    if len(parts) > MOST or not all(one.isascii() and one.isdigit() and len(one) <= 18 for one in parts):
        raise Gone(f"rows {text[:80]}")
    return "-".join(dict.fromkeys(str(int(one)) for one in parts))


def by_kind(topics: Iterable[Topic]) -> dict[str, set[int]]:
    """The rows among some topics, each of one row: all of a kind are read together."""
    found: dict[str, set[int]] = {}
    for topic in topics:
        if PANELS[topic.panel].of_rows:
            found.setdefault(topic.panel, set()).add(int(topic.subject))
    return found
