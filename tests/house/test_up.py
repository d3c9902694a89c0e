"""`manage.py up`, the real one."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from subprocess import Popen

import psutil
import pytest
from django.core.management import CommandError, call_command

from batchconsole import embedded
from batchconsole.embedded import Places
from batchconsole.environment import env_apps
from tests.house.processes import PROJECT, processes_with, python, running
from tests.waiting import wait_for

READY = "Batchconsole is ready."


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Site:
    """A home with its own database, and `manage.py` for it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.home = folder / "home"
        self.output = folder / "output"
        self.stack = stack
        self.port = free_port()
        self.env = os.environ | {
            "BATCHCONSOLE_HOME": str(self.home),
            "CELERY_BROKER_URL": "",
            "DATABASE_URL": "",
            "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def up(self) -> "Popen[str]":
        """Start it and wait until it says that it is ready."""
        self.output.write_text("")
        arguments = python("manage.py", "up", "--port", str(self.port), "--workers", "2")
        process = self.stack.enter_context(running(arguments, self.env, output=self.output))
        wait_for(lambda: READY in self.said() or process.poll() is not None, 120, "up to be ready")
        assert READY in self.said(), self.said()
        return process

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            python("manage.py", *arguments),
            cwd=PROJECT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=90,
            check=False,
        )

    def said(self) -> str:
        return self.output.read_text()

    def family(self, process: "Popen[str]") -> list[psutil.Process]:
        """All its processes, the database included."""
        keeper = embedded.keeper_pid(self.home)
        assert keeper
        parents = [psutil.Process(process.pid), psutil.Process(keeper)]
        return parents + [child for parent in parents for child in parent.children(recursive=True)]


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="bc-up-")).resolve()
    with ExitStack() as stack:
        site = Site(folder, stack)
        yield site
    data = str(Places.of(site.home).data)
    wait_for(lambda: not processes_with(data), 60, "the server to stop")
    rmtree(Places.of(site.home).base, ignore_errors=True)
    rmtree(folder)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_it_runs_everything_and_stops_everything(site: Site) -> None:
    process = site.up()
    family = site.family(process)
    # Two celery workers (with two children of the pool), beat, the web server, the keeper and its server.
    assert sum("celery" in " ".join(each.cmdline()) for each in family) == 5
    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/healthz", timeout=10) as response:
        assert response.status == 200
        assert "server" not in response.headers
    assert f"http://127.0.0.1:{site.port}" in site.said()
    # A second one is refused, with the way to the first; other commands share the database.
    again = site.run("up", "--port", str(free_port()))
    assert again.returncode == 1
    assert f"process {process.pid}, http://127.0.0.1:{site.port}" in again.stdout
    assert "Traceback" not in again.stdout
    assert site.run("migrate", "--check").returncode == 0
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(12) == 0
    assert time.monotonic() - began < 10.5
    assert alive(family) == []
    assert "killed" not in site.said()


def test_it_survives_being_killed(site: Site) -> None:
    process = site.up()
    family = site.family(process)
    process.kill()
    wait_for(lambda: not alive(family), 20, "its processes to end")
    process = site.up()
    # A killed database and a killed web server come back.
    keeper = embedded.keeper_pid(site.home)
    assert keeper
    victims = [each for each in site.family(process) if "uvicorn" in " ".join(each.cmdline())]
    victims += psutil.Process(keeper).children()
    for victim in victims:
        victim.kill()
    wait_for(lambda: not alive(victims), 10, "the kill")
    wait_for(lambda: site_answers(site), 30, "the console to come back")
    assert site.run("migrate", "--check").returncode == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(12) == 0


def site_answers(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/healthz", timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def test_a_port_in_use_is_refused_before_anything_starts(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        done = site.run("up", "--port", str(site.port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {site.port}" in done.stdout
    assert "Traceback" not in done.stdout
    assert not Places.of(site.home).data.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("port", 70_000, "--port must be between"),
        ("port", 0, "--port must be between"),
        ("workers", 0, "--workers must be between"),
        ("host", "no such host", "is no address"),
    ],
)
def test_bad_options_are_refused(option: str, value: object, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("up", **{option: value})


def test_an_unreachable_database_is_no_traceback(site: Site) -> None:
    site.env["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    done = site.run("up", "--port", str(site.port))
    assert done.returncode == 1
    assert "cannot connect to the database" in done.stdout
    assert "Traceback" not in done.stdout


def test_stopped_while_the_database_is_made_it_names_no_other_user(site: Site) -> None:
    arguments = python("manage.py", "up", "--port", str(site.port), "--workers", "2")
    process = site.stack.enter_context(running(arguments, site.env, output=site.output))
    wait_for(lambda: "creating the database cluster" in site.said(), 60, "the database to be made")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert site.said().splitlines()[-3:] == ["Stopping ...", "Stopped.", "Stopped before it was ready."]


def test_a_server_that_others_use_is_said_to_go_on(site: Site) -> None:
    process = site.up()
    user = "import sys; from pathlib import Path; from batchconsole import embedded; "
    user += "embedded.ensure_running(Path(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    other = site.stack.enter_context(running(python("-c", user, str(site.home)), site.env))
    assert other.stdout and other.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(12) == 0
    assert "PostgreSQL goes on for another process that uses it." in site.said()


@pytest.mark.parametrize("loaded", ["json", "django.apps", "celery", "queues.models"])
def test_an_interrupt_while_everything_is_imported_is_no_traceback(site: Site, loaded: str) -> None:
    """Whichever part is being imported when the signal comes."""
    hook = f"""
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {loaded!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.path.insert(0, os.getcwd())
sys.argv = ["manage.py", "up", "--port", "{site.port}"]
for name in [name for name in sys.modules if name.split(".")[0] == "json"]:
    del sys.modules[name]
runpy.run_path("manage.py", run_name="__main__")
"""
    done = subprocess.run(
        python("-c", hook), cwd=PROJECT, env=site.env, text=True, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not Places.of(site.home).data.exists()


@pytest.mark.parametrize("app", ["nosuch", "tests.nosuch", "two words", ".tests"])
def test_an_app_that_is_not_there_is_told_in_one_line(site: Site, app: str) -> None:
    site.env["BATCHCONSOLE_APPS"] = f"tests.house.ringing, {app}"
    done = site.run("check")
    assert done.returncode == 1
    assert done.stdout == (
        "batchconsole is not set up as it must be: "
        f"BATCHCONSOLE_APPS names {app!r}, but Python finds no such package from here\n"
    )


def test_apps_can_be_packages_or_their_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = ["tests.house.ringing", "queues.apps.QueuesConfig", "django.contrib.auth"]
    monkeypatch.setenv("BATCHCONSOLE_APPS", ",".join(apps))
    assert env_apps("BATCHCONSOLE_APPS") == apps
