"""From one command to a repaired job, as somebody meets it who has never seen it before."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from batchconsole.embedded import Places
from tests.house.processes import processes_with, python, running
from tests.house.test_up import READY, free_port
from tests.waiting import wait_for

LINK = re.compile(r"http://\S+/login/link/#[0-9a-f]{64}")


@pytest.fixture
def up() -> Iterator[str]:
    """`manage.py up --demo` in an empty home; what it has printed."""
    folder = Path(tempfile.mkdtemp(prefix="bc-e2e-")).resolve()
    home, output = folder / "home", folder / "output"
    env = os.environ | {
        "BATCHCONSOLE_HOME": str(home),
        "CELERY_BROKER_URL": "",
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
        "PYTHONUNBUFFERED": "1",
    }
    output.write_text("")
    command = python("manage.py", "up", "--demo", "--port", str(free_port()), "--workers", "2")
    with ExitStack() as stack:
        process = stack.enter_context(running(command, env, output=output))
        wait_for(lambda: READY in output.read_text() or process.poll() is not None, 180, "up to be ready")
        assert READY in output.read_text(), output.read_text()
        yield output.read_text()
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    wait_for(lambda: not processes_with(str(Places.of(home).data)), 60, "the server to stop")
    rmtree(Places.of(home).base, ignore_errors=True)
    rmtree(folder, ignore_errors=True)


def changes(page: Page, selector: str, timeout: float = 60_000) -> None:
    """Wait until the text of an element is another one, without the page being loaded again."""
    page.evaluate("window.unreloaded = true")
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent !== text",
        arg=[selector, page.locator(selector).text_content()],
        timeout=timeout,
    )
    assert page.evaluate("window.unreloaded")


def test_start_watch_and_repair(up: str, browser: Browser) -> None:
    link = LINK.search(up)
    assert link
    page = browser.new_context().new_page()
    complaints: list[Any] = []
    page.on("pageerror", lambda error: complaints.append(error))
    page.goto(link[0])
    page.click("#enter")
    page.wait_for_selector('#live-state[data-state="live"]')

    # The demo's numbers move by themselves, until its jobs have ended.
    changes(page, ".panel-in-progress")
    page.wait_for_function(
        "Number(document.querySelector('#tile-dead').textContent.replace(/,/g, '')) > 0", timeout=120_000
    )
    expect(page.locator(".panel-in-progress")).to_contain_text("No batch is running", timeout=180_000)

    # One dead letter, read and tried again: it leaves the list (its file is still broken, so it will be back).
    page.click("#tile-dead")
    row = page.locator("[data-row]").first
    job = str(row.get_attribute("id"))
    row.locator("[data-open]").click()
    expect(page.locator(".error-class")).not_to_be_empty()
    expect(page.locator(".json")).to_contain_text('"path"')
    page.click("#retry")
    expect(page.locator(".toast")).to_contain_text("1 retried.")
    died = page.locator(f"#{job} time")
    if died.count():
        # So quick that it has died again before the list was there.
        expect(died).to_have_text(re.compile("just now|[0-9]+ s ago"))
    assert complaints == []
