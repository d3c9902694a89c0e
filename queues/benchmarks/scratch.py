"""A database and a home for one run of the benchmark; both are gone when it ends, however it ends."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.db import connection
from psycopg import errors

from queues.benchmarks import bare

PROJECT = Path(__file__).resolve().parents[2]


class NoScratch(RuntimeError):
    """No database can be created; the text says why."""


@contextmanager
def scratch() -> Iterator[dict[str, str]]:
    """The environment of processes that work in a new, empty database and a new home, with a broker of its own."""
    connection.ensure_connection()  # an embedded server starts by that
    name, site = f"benchmark_{secrets.token_hex(6)}", address(connection.settings_dict)
    with tempfile.TemporaryDirectory(prefix="batchconsole-benchmark-", ignore_cleanup_errors=True) as home:
        try:
            # Within: an interrupt may come when the server has made it and the answer is underway.
            _create(site, name)
            yield _environment(address(connection.settings_dict, name), home)
        finally:
            bare.drop_database(site, name)


def _create(site: str, name: str) -> None:
    try:
        bare.create_database(site, name)
    except errors.InsufficientPrivilege as error:
        raise NoScratch(f"the benchmark needs a database of its own, and cannot create one: {error}") from None


def address(values: dict[str, Any], name: str = "") -> str:
    """The address of a database with the access data of Django's settings."""
    user, password = quote(str(values["USER"]), safe=""), quote(str(values["PASSWORD"]), safe="")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    places = {"host": values["HOST"], "port": values["PORT"]}
    options = {key: value for key, value in values["OPTIONS"].items() if isinstance(value, str)}
    query = urlencode({key: value for key, value in {**places, **options}.items() if value})
    return f"postgresql://{login}/{quote(name or values['NAME'], safe='')}?{query}"


def _environment(database: str, home: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    apps = ",".join(filter(None, [os.environ.get("BATCHCONSOLE_APPS"), "queues.benchmarks"]))
    return os.environ | {
        "DATABASE_URL": database,
        "BATCHCONSOLE_HOME": home,
        "BATCHCONSOLE_APPS": apps,
        "CELERY_BROKER_URL": "",
        "PYTHONPATH": path,
    }
