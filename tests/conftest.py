"""One database for each process that runs tests: DATABASE_URL's server, else an embedded one in a private home."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections
from django.test import TransactionTestCase

from batchconsole import embedded
from batchconsole.broker import empty_broker
from tests.emptying import empty_database
from tests.settings import OWN, RUN_HOME

TESTS = Path(__file__).resolve().parent
PROJECT = TESTS.parent
MOST_PROCESSES = 8
# What takes long begins early, so that no process still works when the others have ended.
LONG_FIRST = ("plans", "benchmarks", "concurrency", "browser", "house", "queues", "monitoring", "domain")
# Dear to make: one process has all the tests of the full database.
FULL = "tests/plans"

TransactionTestCase._fixture_teardown = empty_database


def pytest_configure() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and all that is started by it: tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than cores for the whole suite: tests also wait. One for a part: each makes a database."""
    if any(Path(argument).resolve() not in (PROJECT, TESTS) for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, MOST_PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A module stays in one process, for its tests share fixtures; and so does what shares the full database."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return FULL if nodeid.startswith(FULL) else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)  # keeps the order within a folder, which pytest-django has made
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring what takes long to the front."""
    rank = {folder: number for number, folder in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(TESTS).parts[0], 0))


def pytest_unconfigure() -> None:
    """Stop the embedded server, which started by itself at the first connection. Who made the homes removes them."""
    connections.close_all()
    embedded.leave(settings.HOME)
    embedded.wait_stopped(settings.HOME, timeout=30)
    if OWN:
        for folder in RUN_HOME.glob("gw*"):  # of processes that an interrupt has ended
            embedded.wait_stopped(folder / "home", timeout=30)
        shutil.rmtree(RUN_HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _unhurried() -> Iterator[None]:
    """A machine that is busy with other tests cuts no slice short. Tests of the slices set their own."""
    from queues.services import operate, recur, upkeep  # not before Django is set up

    with pytest.MonkeyPatch.context() as patch:
        for service, name in ((operate, "RING_SECONDS"), (recur, "SLICE"), (upkeep, "SLICE")):
            patch.setattr(service, name, 60.0)
        yield


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """What a process keeps for a while belongs to one test."""
    cache.clear()


@pytest.fixture
def home() -> Path:
    """The private home of this test run."""
    return Path(settings.HOME)


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The address of the test database, for another process; what it is to see must be committed."""
    values = connection.settings_dict
    user, password = quote(values["USER"]), quote(values["PASSWORD"], safe="")
    host, port = quote(str(values["HOST"]), safe=""), values["PORT"]
    login = f"{user}:{password}@" if password else f"{user}@"
    return f"postgresql://{login}/{quote(values['NAME'])}?host={host}&port={port}"


@pytest.fixture
def worker_env(database_url: str) -> dict[str, str]:
    """The environment in which a process uses the test database, and the broker that this process sends to, emptied.

    Start it as [sys.executable, "manage.py", ...] or [sys.executable, "-m", "celery", ...] with `cwd=PROJECT`.
    """
    empty_broker(settings.HOME)
    return os.environ | {
        "BATCHCONSOLE_HOME": str(settings.HOME),
        "CELERY_BROKER_URL": "",
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
    }
