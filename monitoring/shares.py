"""How much is watched at most: by all pages of a process together, and by all pages of one person."""

from collections.abc import Collection, Iterable
from typing import Protocol

from monitoring import access, panels
from monitoring.panels import Topic

MOST_TOPICS = 400
# Rows of lists that are watched at once.
MOST_ROWS = 20_000
# Of those, what one person may have, with all their pages: the rest is for others.
MOST_OF_ONE, MOST_ROWS_OF_ONE, MOST_SOCKETS_OF_ONE = 80, 4_000, 50


class Watcher(Protocol):
    """Who watches what."""

    visitor: access.Visitor
    topics: tuple[Topic, ...]


class Full(Exception):
    """More different things are watched than one process reads each second."""


class Crowded(Full):
    """One person watches more than their share."""


def check(one: Watcher, others: Collection[Watcher]) -> None:
    """Whether there is room for one more. Raises `Full`, or `Crowded` where only this person has too much of it."""
    own = [other for other in others if other.visitor.user_id == one.visitor.user_id]
    if len(own) >= MOST_SOCKETS_OF_ONE or _exceed([one, *own], MOST_OF_ONE, MOST_ROWS_OF_ONE):
        raise Crowded
    if _exceed([one, *others], MOST_TOPICS, MOST_ROWS):
        raise Full


def _exceed(watchers: Iterable[Watcher], most: int, most_rows: int) -> bool:
    """Whether these watch more different things, or rows of lists, than that."""
    watched = {topic for watcher in watchers for topic in watcher.topics}
    listed = sum(panels.PANELS[topic.panel].of_rows for topic in watched)
    return len(watched) - listed > most or listed > most_rows
