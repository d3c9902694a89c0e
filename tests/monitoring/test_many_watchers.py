"""Two hundred real sockets at one web process: they cost the database what one costs, and none waits for another."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect

from monitoring.consumers import STALLED
from monitoring.shares import MOST_SOCKETS_OF_ONE
from tests.conftest import PROJECT
from tests.monitoring.test_live import OVERVIEW, close_left_connections, session_of
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import make_queue
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db(transaction=True)]
WATCHERS = 200
# Enough of them that the first frame is larger than all buffers between two processes, which are made small here.
QUEUES = 120
BUFFER = 4_096
# Batches of the list, of which each page shows another part.
LISTED = 60
BATCHES: list[int] = []
TICKS = 5
# Readings, one a second, after which a page that takes nothing is given up, and its end has been sent.
GIVEN_UP = int(STALLED) + 6
ORIGIN = "http://127.0.0.1"


@dataclass
class Web:
    """A web process, and what the database has done for it."""

    port: int
    cookies: list[str]
    database: str
    own: int  # this process's connection
    statistics: "psycopg.Connection[tuple[int]]"

    def transactions(self) -> int:
        """Committed in the test database so far; each query of a reading is one. Asked in another database."""
        found = self.statistics.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", [self.database]
        ).fetchone()
        assert found
        return found[0]

    def connections(self) -> int:
        """Of the web process: once all sockets are open, only that of the reader."""
        found = self.statistics.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = %s AND backend_type = 'client backend' AND pid <> %s",
            [self.database, self.own],
        ).fetchone()
        assert found
        return found[0]


@pytest.fixture
def web(worker_env: dict[str, str], database_url: str, person: object) -> Iterator[Web]:
    """The web process as `up` starts it, on a socket that holds little back from a browser that does not read."""
    first: User = person("viewer")  # type: ignore[operator]
    # One person has only so many pages; and a page more, which will stall.
    count = WATCHERS // MOST_SOCKETS_OF_ONE
    people = [first, *(User.objects.create_user(f"viewer {number}") for number in range(count))]
    for user in people:
        user.user_permissions.set(first.user_permissions.all())
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        command = ["uvicorn", "batchconsole.asgi:application", f"--fd={listener.fileno()}", "--lifespan=off"]
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--log-level=warning", "--timeout-graceful-shutdown=1"],
            cwd=PROJECT,
            env=worker_env,
            pass_fds=[listener.fileno()],
        )
        postgres = urlsplit(database_url)._replace(path="/postgres").geturl()
        try:
            with psycopg.connect(postgres, autocommit=True) as statistics:
                cookies = [f"{settings.SESSION_COOKIE_NAME}={session_of(user)}" for user in people]
                own, port = connection.connection.info, listener.getsockname()[1]
                yield Web(port, cookies, own.dbname, own.backend_pid, statistics)
        finally:
            process.terminate()
            process.wait(15)
            close_left_connections()


class Page:
    """An open page that reads whatever comes."""

    def __init__(self, line: ClientConnection) -> None:
        self.line, self.ticks, self.frames = line, 0, asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self.line:
            self.ticks += "panel-queues" in frame or self.ticks > 0
            self.frames.set()

    async def tick(self, wanted: int) -> None:
        """Wait until it has its figures and so many frames, one for each reading."""
        while self.ticks < wanted:
            self.frames.clear()
            await self.frames.wait()

    async def close(self) -> None:
        """Leave."""
        await self.line.close()
        await self.reading


def parts_of_a_list() -> list[str]:
    """What pages of a list of batches watch: some of its rows each, and its counts."""
    parts = (islice(cycle(BATCHES), at, at + 20) for at in range(LISTED))
    return [f"batch-tabs=&batch-rows={'-'.join(map(str, rows))}" for rows in parts]


@asynccontextmanager
async def watching(web: Web, count: int) -> AsyncIterator[list[Page]]:
    """So many open pages, all of which have their figures."""
    cookies = (web.cookies[at // MOST_SOCKETS_OF_ONE] for at in range(count))
    # Each looks at another part of a long list beside.
    urls = (f"ws://127.0.0.1:{web.port}{OVERVIEW}&{part}" for part in cycle(parts_of_a_list()))
    pages: list[Page] = []
    try:
        for _ in range(0, count, 20):
            wanted = range(min(20, count - len(pages)))
            lines = (
                connect(
                    next(urls),
                    additional_headers={"Cookie": next(cookies)},
                    origin=ORIGIN,
                    max_size=None,
                    compression=None,
                )
                for _ in wanted
            )
            pages += map(Page, await asyncio.gather(*lines))
        await asyncio.gather(*(page.tick(1) for page in pages))
        yield pages
    finally:
        await asyncio.gather(*(page.close() for page in pages))


async def cost_of_a_second(web: Web, pages: list[Page]) -> float:
    """Queries in a second, while all pages get what is new. The database counts a little late, at most a second."""
    await asyncio.to_thread(wait_for, lambda: web.connections() == 1, 20, "the end of the admissions")
    await pages[0].tick(pages[0].ticks + 2)
    before, started = web.transactions(), time.monotonic()
    await asyncio.gather(*(page.tick(page.ticks + TICKS) for page in pages))
    return (web.transactions() - before) / (time.monotonic() - started)


def stall(web: Web) -> socket.socket:
    """A page with the list of queues that is opened and then takes nothing any more."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    line.connect(("127.0.0.1", web.port))
    line.sendall(
        f"GET {OVERVIEW}&queue-list= HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {ORIGIN}\r\nCookie: {web.cookies[-1]}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
    )
    return line


def test_two_hundred_pages_cost_the_database_what_one_costs_and_none_waits_for_another(web: Web) -> None:
    for number in range(QUEUES):
        make_queue(f"queue-{number}")
    BATCHES[:] = [waiting_batch(1).pk for _ in range(LISTED)]

    async def story() -> None:
        async with watching(web, 1) as pages:
            one = await cost_of_a_second(web, pages)
        with stall(web) as stalled:
            async with watching(web, WATCHERS) as pages:
                many = await cost_of_a_second(web, pages)
                # The clock of this test are the readings that the others get while it stalls.
                await pages[0].tick(GIVEN_UP)
                end = await asyncio.to_thread(rest, stalled)
        # The database's own count is coarse; a query for each page would be two hundred times as much.
        assert 5 < one < 60
        assert one * 0.5 <= many <= one * 1.5
        # What was on its way when it stalled, and then the end: nothing was kept for it.
        assert b"live-tick" in end
        assert end.count(b'id="panel-tiles"') <= 1

    asyncio.run(asyncio.wait_for(story(), 90))


def rest(line: socket.socket) -> bytes:
    """What still comes, until the server's end; fails when that does not come."""
    line.settimeout(15)
    return b"".join(iter(lambda: line.recv(65_536), b""))
