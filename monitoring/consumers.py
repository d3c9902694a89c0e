"""The socket of a page: which panels it shows is in its address, all else comes from the hub."""

import asyncio
import contextlib
from typing import Any
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from monitoring import panels, permissions
from monitoring.access import Visitor
from monitoring.live import HUB, TICK, Age
from monitoring.panels import Topic
from monitoring.shares import Crowded, Full

# Seconds that a frame may be under way before the socket is given up.
STALLED = 10.0
MOST_PANELS = 12
# Its panels, and the rows of its lists.
MOST_TOPICS = 300

# Seconds between two frames that a page may ask for.
PACES = ("1", "2", "5", "15")

# Codes by which the page tells why it was closed. Only `BUSY` is one after which htmx tries again.
SIGNED_OUT = 4401
FORBIDDEN = 4403
NOT_FOUND = 4404
BUSY = 1013
# Only this person has too many pages open: the page asks for its figures itself, and tries again later.
CROWDED = 4429


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Sends the watched panels whenever they change, and once a second a sign of life with the data's age."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run until the browser leaves, or until it is given up because it takes nothing any more."""
        self._abandoned = False
        self._pump: asyncio.Task[None] | None = None
        self._seen: dict[Topic, int] = {}
        self._news = asyncio.Event()
        self._pace, self._hurry = TICK, asyncio.Event()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self._abandoned:
                raise
        finally:
            self._stop()

    async def connect(self) -> None:
        """Check who asks for what; then feed it."""
        # Accepted first: a browser is not told why a socket was refused, only why it was closed.
        await self.accept()
        self._main = asyncio.current_task()
        refusal = await self._admit()
        if refusal:
            await self.close(refusal)
            return
        self._pump = asyncio.create_task(self._send_news())
        # What others are already watching is there: no need to wait for the next tick.
        self.wake()

    async def _admit(self) -> int:
        user, session = self.scope.get("user"), self.scope.get("session")
        if user is None or session is None or not user.is_authenticated:
            return SIGNED_OUT
        if not await database_sync_to_async(permissions.may_view)(user):
            return FORBIDDEN
        operate = await database_sync_to_async(permissions.may_operate)(user)
        self.visitor = Visitor(session.session_key, user.pk)
        try:
            self.topics = _topics(self.scope["query_string"], operate)
            HUB.join(self)
        except panels.Gone:
            return NOT_FOUND
        except Crowded:
            return CROWDED
        except Full:
            return BUSY
        return 0

    async def disconnect(self, code: int) -> None:
        """The browser has left."""
        self._stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A page says only how often it wants to hear; whatever changes something is a POST."""
        if text_data in PACES:
            self._pace = float(text_data)
            self._hurry.set()

    def wake(self) -> None:
        """There is something newer to send."""
        self._news.set()

    def allow(self, operate: bool) -> None:
        """Still permitted, perhaps with another right to act."""
        self.topics = tuple(panels.permitted(topic, operate) for topic in self.topics)

    def expel(self) -> None:
        """Signed out, deactivated or without permission."""
        HUB.leave(self)
        self._closing = asyncio.create_task(self._give_up(SIGNED_OUT))

    def _stop(self) -> None:
        HUB.leave(self)
        if self._pump is not None:
            self._pump.cancel()

    async def _send_news(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            frame = HUB.newer(self.topics, self._seen) + _sign_of_life(HUB.age(self.topics))
            try:
                async with asyncio.timeout(STALLED):
                    await self.send(text_data=frame)
            except TimeoutError:
                HUB.leave(self)
                self._closing = asyncio.create_task(self._give_up(BUSY))
                return
            except (OSError, RuntimeError):
                # The line was dropped between two frames.
                HUB.leave(self)
                return
            await self._rest()

    async def _rest(self) -> None:
        """Until the page wants news again. Another wish ends it at once."""
        if self._pace > TICK:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace - TICK / 2):
                    await self._hurry.wait()

    async def _give_up(self, code: int) -> None:
        self._abandoned = True
        if self._pump is not None:
            self._pump.cancel()
        try:
            async with asyncio.timeout(1):
                await self.close(code)
        except TimeoutError:
            # Not even the goodbye goes through: leave the application, and the server drops the line.
            if self._main is not None:
                self._main.cancel()


def _topics(query_string: bytes, operate: bool) -> tuple[Topic, ...]:
    pairs = parse_qsl(query_string.decode("ascii", "replace"), keep_blank_values=True)
    if not 0 < len(pairs) <= MOST_PANELS:
        raise panels.Gone("panels")
    topics = tuple(topic for name, subject in pairs for topic in panels.watched(name, subject, operate))
    if len(topics) > MOST_TOPICS:
        raise panels.Gone("rows")
    return topics


def _sign_of_life(age: Age) -> str:
    behind = " data-behind" * age.behind
    return f'<data id="live-tick" value="{age.seconds:.0f}"{behind} hx-swap-oob="true" hidden></data>'


class Nowhere(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Any other address: refused before it is open."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()
