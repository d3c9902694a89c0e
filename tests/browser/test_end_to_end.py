"""From one command to a repaired job, as somebody meets it who has never seen it before."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from batchconsole.embedded import Places
from tests.house.processes import PROJECT, processes_with, python, running
from tests.house.test_up import READY, free_port
from tests.waiting import wait_for

LINK = re.compile(r"http://\S+/login/link/#[0-9a-f]{64}")


class Up:
    """`manage.py up` in an empty home."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.output = folder / "output"
        self.env = os.environ | {
            "BATCHCONSOLE_HOME": str(self.home),
            "CELERY_BROKER_URL": "",
            "DATABASE_URL": "",
            "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
            "PYTHONUNBUFFERED": "1",
        }
        self.output.write_text("")
        command = python("manage.py", "up", "--port", str(free_port()), "--workers", "2")
        self.process = stack.enter_context(running(command, self.env, output=self.output))
        wait_for(lambda: READY in self.said() or self.process.poll() is not None, 180, "up to be ready")
        assert READY in self.said(), self.said()

    def said(self) -> str:
        return self.output.read_text()

    def demo(self, files: int) -> None:
        """Give it so many files to check, of which a few are broken. (The whole installation takes longer.)"""
        work = self.folder / "work"
        work.mkdir()
        for number in range(files):
            broken = number % 100 == 7
            (work / f"{number}.json").write_text("{" if broken else f'{{"number": {number}}}')
        command = python("manage.py", "demo", "--path", str(work))
        subprocess.run(command, cwd=PROJECT, env=self.env, check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.fixture
def up() -> Iterator[Up]:
    folder = Path(tempfile.mkdtemp(prefix="bc-e2e-")).resolve()
    folder.chmod(0o755)
    with ExitStack() as stack:
        up = Up(folder, stack)
        yield up
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(20)
    wait_for(lambda: not processes_with(str(Places.of(up.home).data)), 60, "the server to stop")
    rmtree(Places.of(up.home).base, ignore_errors=True)
    rmtree(folder, ignore_errors=True)


def test_start_watch_and_repair(up: Up, browser: Browser) -> None:
    link = LINK.search(up.said())
    assert link
    page = browser.new_context().new_page()
    complaints: list[Any] = []
    page.on("pageerror", lambda error: complaints.append(error))
    page.goto(link[0])
    page.click("#enter")
    page.wait_for_selector('#live-state[data-state="live"]')

    # The demo's numbers move by themselves.
    page.evaluate("window.unreloaded = true")
    expect(page.locator("#panel-throughput")).to_contain_text("Nothing has run yet")
    up.demo(files=800)
    expect(page.locator("#panel-throughput .legend")).to_have_text(re.compile(r"succeeded\s*[1-9]"), timeout=90_000)
    expect(page.locator("#tile-dead")).to_have_text("8", timeout=120_000)
    expect(page.locator("#panel-in-progress")).to_contain_text("No batch is running", timeout=60_000)
    assert page.evaluate("window.unreloaded")

    # One dead letter, read and tried again: it leaves the list.
    page.click("#tile-dead")
    page.get_by_role("link", name="Letters", exact=True).click()
    row = page.locator("[data-row]").first
    job = str(row.get_attribute("id"))
    row.locator("[data-open]").click()
    expect(page.locator(".error-class")).not_to_be_empty()
    expect(page.locator(".json")).to_contain_text('"path"')
    page.click("#retry")
    expect(page.locator(".toast")).to_contain_text("1 retried.")
    # Its file is as broken as before, so it will be back; but not before its tries with their delays.
    expect(page.locator(f"#{job}")).to_have_count(0)
    assert complaints == []
