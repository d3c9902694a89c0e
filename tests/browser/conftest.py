"""A real browser in front of a real server on the test database."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from shutil import which
from typing import Any

import pytest
import uvicorn
from django.contrib.auth.models import Permission, User
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from monitoring.history import HISTORY
from monitoring.login_links import create_login_link
from monitoring.ranges import RANGES
from monitoring.snapshot import SHARED
from tests.house.test_up import free_port
from tests.monitoring.test_live import close_left_connections

CHROMIUM = os.environ.get("BATCHCONSOLE_TEST_CHROMIUM") or which("chromium") or which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Collected in every page: what the Content-Security-Policy has stopped.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module: Playwright leaves an event loop in the main thread while it runs."""
    # The installed one where there is one, else Playwright's own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django takes Playwright's loop for one of ours; and the console forgets the test before."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    HISTORY.clear()
    SHARED.clear()
    RANGES.clear()
    yield


class Server:
    """The ASGI application in a thread; it can be stopped and started again at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        config = uvicorn.Config(
            "batchconsole.asgi:application",
            port=self.port,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, name="uvicorn", daemon=True)
        self.thread.start()
        until = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """Go away."""
        self.server.should_exit = True
        self.thread.join(15)
        assert not self.thread.is_alive()


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    """The console."""
    server = Server()
    server.start()
    yield server
    server.stop()
    close_left_connections()


class Visit:
    """A browser window of somebody who is signed in. Whatever it complains of is kept."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.server = server
        self.complaints: list[str] = []
        context.add_init_script(WATCH_POLICY)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(self.server.url + path)
        return self.page

    def fits(self, paths: Iterable[str], width: int) -> None:
        """Open each page, and see that it can be read without scrolling sideways."""
        for path in paths:
            page = self.open(path)
            page.wait_for_load_state("networkidle") if not page.locator("#live").count() else self.live()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path

    def live(self) -> None:
        """Wait until figures flow."""
        self.page.wait_for_selector('#live-state[data-state="live"]')


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Opens a window: `visit()` for a superuser, `visit("view_console")` for somebody with these permissions."""
    contexts: list[BrowserContext] = []

    def come(*permissions: str, **options: Any) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        visit = Visit(context, server)
        username = ""
        if permissions:
            user = User.objects.create_user("somebody")
            user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
            username = user.username
        if options.get("java_script_enabled", True):
            visit.page.goto(create_login_link(server.url, username))
            visit.page.click("#enter")
        else:
            link = create_login_link(server.url, username)
            visit.page.goto(link)
            visit.page.fill("#token", link.split("#")[1])
            visit.page.click("#enter")
        visit.page.wait_for_url(f"{server.url}/")
        return visit

    yield come
    for context in contexts:
        context.close()
    connection.close()
