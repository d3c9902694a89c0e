"""The live stream: one reading a second for all who watch, each panel rendered once for all of them.

The hub belongs to one process and one event loop. A channel layer is not needed for it: each process reads
for itself, and what a layer would queue for a slow socket is here only a mark that something newer exists.
A socket therefore never holds more than the frame on its way and the mark, and what it gets next is the
latest.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError, connection
from django.urls import set_script_prefix

from monitoring import access, panels, rows, shares
from monitoring.history import HISTORY
from monitoring.panels import Context, Topic
from monitoring.snapshot import SHARED, Snapshot
from queues.selectors import clock

logger = logging.getLogger(__name__)

TICK = 1.0
# Session and permission of every socket are read again this often, in ticks.
ACCESS_EVERY = 8
# No statement of a tick may take longer; a panel that does says so, the others go on.
STATEMENT_LIMIT = 2.0
# Rows of lists that one tick reads.
ROWS_A_TICK = 500
# Seconds after which a tick leaves what is still due to the next one: who has waited longest comes first.
LONGEST_TICK = 2.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A panel as it was rendered last; the version grows when it changes."""

    version: int
    html: str


class Socket(Protocol):
    """What the hub knows of a watcher."""

    visitor: access.Visitor
    topics: tuple[Topic, ...]

    def wake(self) -> None:
        """There is something newer to send."""

    def allow(self, operate: bool) -> None:
        """Still permitted; whether it may act may have changed."""

    def expel(self) -> None:
        """No longer permitted."""


@dataclass(frozen=True, slots=True)
class Age:
    """How old what a page shows is, in seconds; `behind` when that is because more is watched than is read in time."""

    seconds: float
    behind: bool = False


class Reader:
    """Reads and renders in a thread of its own, with a connection of its own."""

    def __init__(self) -> None:
        self._limited: object = None
        self._rows: dict[Topic, tuple[Context, str]] = {}

    def read(self, topics: Collection[Topic]) -> dict[Topic, str]:
        """Render these panels from one snapshot, as many as there is time for, and one at least. Raises
        `DatabaseError` when the database does not answer."""
        self._connect()
        watched = {int(topic.subject) for topic in topics if panels.PANELS[topic.panel].about == "batch"}
        snapshot, read_at = Snapshot(watched, listed=rows.by_kind(topics)), time.monotonic()
        HISTORY.forget_batches(snapshot.now)
        rendered: dict[Topic, str] = {}
        for topic in topics:
            rendered[topic] = self._render(topic, snapshot)
            if time.monotonic() - read_at > LONGEST_TICK:
                break
        SHARED.put(snapshot, read_at)
        return rendered

    def forget(self, watched: Collection[Topic]) -> None:
        """Keep nothing of the rows that nobody watches any more."""
        self._rows = {topic: row for topic, row in self._rows.items() if topic in watched}

    def permitted(self, visitors: Collection[access.Visitor]) -> dict[access.Visitor, bool]:
        """Who may stay."""
        self._connect()
        return access.permitted(visitors)

    def close(self) -> None:
        """Give the connection back."""
        connection.close()
        self._limited = None

    def _connect(self) -> None:
        # Each thread has its own, and requests set it for theirs only: without it no pushed link were below the prefix.
        set_script_prefix(settings.FORCE_SCRIPT_NAME or "/")
        connection.close_if_unusable_or_obsolete()
        connection.ensure_connection()
        if connection.connection is not self._limited:
            clock.limit_session(STATEMENT_LIMIT)
            self._limited = connection.connection

    def _render(self, topic: Topic, snapshot: Snapshot) -> str:
        try:
            found = panels.read(topic, snapshot)
            if not panels.PANELS[topic.panel].of_rows:
                return panels.show(topic, found, pushed=True)
            # Most rows are as they were: telling is cheap, drawing is not.
            known = self._rows.get(topic)
            if known is None or known[0] != found:
                known = self._rows[topic] = (found, panels.show(topic, found, pushed=True))
            return known[1]
        except panels.Gone:
            return panels.failed(topic, "This does not exist any more.")
        except DatabaseError:
            if not connection.is_usable():
                raise
            logger.warning("panel %s could not be read", topic.panel, exc_info=True)
            return panels.failed(topic, f"Reading this took longer than {STATEMENT_LIMIT:.0f} s.")


class Hub:
    """All sockets of a process, what they watch, and the task that feeds them."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.rendered: dict[Topic, Rendered] = {}
        self.fresh_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._version = 0
        self._read_in: dict[Topic, int] = {}
        self._read_at: dict[Topic, float] = {}
        self._late: frozenset[Topic] = frozenset()

    def join(self, socket: Socket) -> None:
        """Feed this socket from now on. Raises `shares.Full`."""
        shares.check(socket, self.sockets)
        self.sockets.add(socket)
        if self._task is None or self._task.done():
            self.rendered.clear()
            self._read_in.clear()
            self._read_at.clear()
            self._late = frozenset()
            self.fresh_at = time.monotonic()
            self._task = asyncio.create_task(self._feed(), name="live")

    def leave(self, socket: Socket) -> None:
        """Feed it no more; after the last one the reading ends."""
        self.sockets.discard(socket)
        if not self.sockets and self._task is not None:
            self._task.cancel()
            self._task = None

    def age(self, topics: Collection[Topic]) -> Age:
        """How old the oldest of these is: since the last reading that succeeded, or longer for what it left waiting."""
        now, late = time.monotonic(), self._late.intersection(topics)
        oldest = min((self._read_at.get(topic, self.fresh_at) for topic in late), default=self.fresh_at)
        return Age(now - min(oldest, self.fresh_at), behind=oldest < self.fresh_at)

    def newer(self, topics: Collection[Topic], seen: dict[Topic, int]) -> str:
        """Fragments that changed since they were `seen`, which is brought up to date."""
        fragments = []
        for topic in topics:
            rendered = self.rendered.get(topic)
            if rendered is not None and rendered.version > seen.get(topic, 0):
                seen[topic] = rendered.version
                fragments.append(rendered.html)
        return "".join(fragments)

    async def _feed(self) -> None:
        loop = asyncio.get_running_loop()
        reader = Reader()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live")
        tick = 0
        try:
            while True:
                started = loop.time()
                await self._tick(loop, thread, reader, tick)
                tick += 1
                await asyncio.sleep(max(TICK / 10, TICK - (loop.time() - started)))
        finally:
            thread.submit(reader.close)
            thread.shutdown(wait=False)

    async def _tick(
        self, loop: asyncio.AbstractEventLoop, thread: ThreadPoolExecutor, reader: Reader, tick: int
    ) -> None:
        watched = {topic for socket in self.sockets for topic in socket.topics}
        self._read_in = {topic: last for topic, last in self._read_in.items() if topic in watched}
        waiting = self._due(watched, tick)
        started = time.monotonic()
        # Of what was never read, the page itself has shown figures when it came.
        self._read_at = {topic: self._read_at.get(topic, started) for topic in watched}
        try:
            found = await loop.run_in_executor(thread, reader.read, _first(waiting))
            self._read_in.update(dict.fromkeys(found, tick))
            self._read_at.update(dict.fromkeys(found, started))
            self._late = frozenset(waiting).difference(found)
            self._keep(watched, found)
            reader.forget(watched)
            self.fresh_at = started
            if tick % ACCESS_EVERY == ACCESS_EVERY - 1:
                visitors = {socket.visitor for socket in self.sockets}
                self._sort_out(await loop.run_in_executor(thread, reader.permitted, visitors))
        except DatabaseError as error:
            # The sockets stay, and are told how old their figures are.
            logger.warning("live figures could not be read: %s", error)
            with contextlib.suppress(DatabaseError):
                await loop.run_in_executor(thread, reader.close)
        except Exception:
            logger.exception("live figures could not be rendered")
        for socket in self.sockets:
            socket.wake()

    def _due(self, watched: Iterable[Topic], tick: int) -> list[Topic]:
        """What is due, in its order: what never was read, then what was left waiting, then what has its turn now."""
        waits: dict[Topic, int] = {}
        for topic in watched:
            last, every = self._read_in.get(topic), panels.PANELS[topic.panel].every
            if last is None:
                waits[topic] = tick + shares.MOST_TOPICS
            elif tick % every == 0 or tick - last > every:
                waits[topic] = tick - last
        return sorted(waits, key=lambda topic: -waits[topic])

    def _keep(self, watched: Collection[Topic], found: dict[Topic, str]) -> None:
        self.rendered = {topic: old for topic, old in self.rendered.items() if topic in watched}
        for topic, html in found.items():
            old = self.rendered.get(topic)
            if old is None or old.html != html:
                self._version += 1
                self.rendered[topic] = Rendered(self._version, html)

    def _sort_out(self, permitted: dict[access.Visitor, bool]) -> None:
        for socket in list(self.sockets):
            if socket.visitor in permitted:
                socket.allow(permitted[socket.visitor])
            else:
                socket.expel()


def _first(due: list[Topic]) -> list[Topic]:
    """What of it one tick tries to read: not more rows than it can."""
    left = {*[topic for topic in due if panels.PANELS[topic.panel].of_rows][ROWS_A_TICK:]}
    return [topic for topic in due if topic not in left]


HUB = Hub()
