"""One database for the whole test run: DATABASE_URL's server, else an embedded one in a private home."""

import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection, connections

from batchconsole import embedded
from batchconsole.broker import empty_broker
from tests.settings import TEST_HOME

PROJECT = Path(__file__).resolve().parent.parent


def pytest_unconfigure() -> None:
    """Stop the embedded server, which started by itself at the first connection, and remove the home."""
    connections.close_all()
    embedded.leave(settings.HOME)
    embedded.wait_stopped(settings.HOME, timeout=30)
    shutil.rmtree(TEST_HOME, ignore_errors=True)


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
