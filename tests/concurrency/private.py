"""A PostgreSQL server of a test's own, which may be hurt. In this thread it takes the place of the test database."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.core.management import call_command
from django.db import connection, connections
from django.db.utils import load_backend

from batchconsole import embedded
from batchconsole.embedded import Places
from tests.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]


class Private:
    """The server, and the environment in which worker processes use it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | {
            "BATCHCONSOLE_HOME": str(home),
            "CELERY_BROKER_URL": "",
            "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
            "PYTHONPATH": str(PROJECT),
        }

    def postmaster(self) -> psutil.Process:
        """The server's main process."""
        return psutil.Process(int((Places.of(self.home).data / "postmaster.pid").read_text().split()[0]))

    def crash(self) -> None:
        """Stop it immediately, as after a power cut, and wait until it has come back by itself."""
        victim = self.postmaster()
        victim.send_signal(signal.SIGQUIT)
        wait_for(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 20, "the stop")
        connection.close()
        embedded.ensure_running(self.home)


@contextmanager
def private_database() -> Iterator[Private]:
    """Start one with all tables."""
    folder = Path(tempfile.mkdtemp(prefix="bc-private-")).resolve()
    folder.chmod(0o755)
    home, usual = folder / "home", connections["default"]
    settings = connections.configure_settings({"default": embedded.embedded_database(home)})["default"]
    connections["default"] = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
    try:
        call_command("migrate", verbosity=0)
        yield Private(home)
    finally:
        connection.close()
        connections["default"] = usual
        embedded.leave(home)
        stopped = embedded.wait_stopped(home, timeout=60)
        shutil.rmtree(Places.of(home).base, ignore_errors=True)
        shutil.rmtree(folder)
        assert stopped
