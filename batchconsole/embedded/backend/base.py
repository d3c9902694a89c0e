"""Django's PostgreSQL backend, which sees that the embedded server runs before it connects.

The hook is here, and not in a list of commands, because this is the one place that every process passes that needs the
database: a web process, a worker, `manage.py migrate`, a script. Those that do not connect do not start anything.
"""

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import base, client
from django.db.utils import OperationalError

from batchconsole.embedded.client import ensure_running
from batchconsole.embedded.places import EmbeddedError


def _ensure_running(settings: dict[str, Any]) -> None:
    try:
        ensure_running(settings["EMBEDDED_HOME"])
    except EmbeddedError as error:
        raise OperationalError(str(error)) from error


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell`."""

    def runshell(self, parameters: Iterable[str]) -> None:
        """psql connects by itself."""
        _ensure_running(self.connection.settings_dict)
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the embedded server."""

    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, to a server started first if need be."""
        _ensure_running(self.settings_dict)
        return super().get_new_connection(conn_params)
