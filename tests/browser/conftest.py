"""A real browser in front of a real server on the test database."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from shutil import which
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from monitoring.frame import HEALTH
from monitoring.history import HISTORY
from monitoring.ranges import RANGES
from monitoring.snapshot import SHARED
from tests.house.test_up import free_port
from tests.monitoring.test_live import close_left_connections

CHROMIUM = os.environ.get("BATCHCONSOLE_TEST_CHROMIUM") or which("chromium") or which("google-chrome")
# Milliseconds after which something hangs. How fast the console is, is not judged here.
HANGS = 30_000
expect.set_options(timeout=HANGS)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NARROW = {"width": 360, "height": 740}
USUAL = {"width": 1280, "height": 720}
WIDE = {"width": 2560, "height": 1300}
# The rules of axe whose answer depends on the theme.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
# The colour in which a change is shown is that of the theme in which it came.
SETTLED = "Promise.allSettled(document.getAnimations().map((animation) => animation.finished)).then(() => {})"
# What reaches out of the page, the innermost of it: for those who have to mend it.
WIDEST = """
[...document.querySelectorAll("body *")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest(".scroll, .rail, .tabs"))
  .slice(-4).map((node) => node.outerHTML.slice(0, 160))
"""
# Collected in every page: what the Content-Security-Policy has stopped.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module: Playwright leaves an event loop in the main thread while it runs."""
    # With that loop Django takes another connection, and `close_left_connections` would cut this one.
    connections.close_all()
    # The installed one where there is one, else Playwright's own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django takes Playwright's loop for one of ours; and the console forgets the test before."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    HEALTH.clear()
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


def findings(page: Page, *rules: str) -> list[str]:
    """What axe finds serious on a page, by these rules only or by all."""
    only = {"runOnly": list(rules)} if rules else {}
    results: dict[str, Any] = Axe().run(page, options={"resultTypes": ["violations"], **only}).response
    return [
        f"{found['id']}: {node['html'][:150]}"
        for found in results["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


class Visit:
    """A browser window of somebody who is signed in. Whatever it complains of is kept."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.server = server
        self.complaints: list[str] = []
        context.add_init_script(WATCH_POLICY)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(HANGS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(self.server.url + path)
        return self.page

    def examine(self, paths: Iterable[str], sizes: Sequence[dict[str, int]] = (USUAL,)) -> None:
        """Open each page once, and see that it is `flawless`."""
        for path in paths:
            page = self.open(path)
            if page.locator("#live-state").count():
                self.live()
            self.flawless(path, sizes)

    def flawless(self, what: str, sizes: Sequence[dict[str, int]] = (USUAL,)) -> None:
        """At these sizes and in both themes axe finds nothing serious, and no width needs scrolling sideways.

        A page takes longer to load than to be looked at; and the theme changes nothing but colours.
        """
        self.page.emulate_media(reduced_motion="reduce")
        self.page.evaluate(SETTLED)
        for size in sizes:
            self.page.set_viewport_size(size)
            assert findings(self.page) == [], f"{what} at {size}"
            self.page.emulate_media(color_scheme="dark")
            assert findings(self.page, *OF_COLOURS) == [], f"{what} at {size}, dark"
            self.page.emulate_media(color_scheme="light")
        for size in (NARROW, WIDE, USUAL):
            self.page.set_viewport_size(size)
            assert self.page.evaluate("document.documentElement.scrollWidth") <= size["width"], (
                f"{what} at {size}: {self.page.evaluate(WIDEST)}"
            )

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
        name, mighty = ("somebody", False) if permissions else ("admin", True)
        user, _ = User.objects.get_or_create(username=name, is_staff=mighty, is_superuser=mighty)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": session.key, "value": session.value, "url": server.url}])
        visit.open("/")
        return visit

    yield come
    for context in contexts:
        context.close()
    connection.close()
