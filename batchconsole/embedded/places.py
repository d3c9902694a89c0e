"""Where the parts of an embedded server are; reading this touches nothing."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLE = "batchconsole"
DATABASE = "batchconsole"
PORT = 5432  # names the socket file, nothing listens on TCP
# macOS allows 103 bytes for the path of a socket, Linux 107.
SOCKET_PATH_LIMIT = 103
# What both libpq and postgresql.conf take without quoting: a comma separates hosts in the one, folders in the other.
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


class EmbeddedError(RuntimeError):
    """The embedded server cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class Places:
    """The folders of the server that belongs to one home."""

    home: Path
    base: Path
    sockets: Path

    @classmethod
    def of(cls, home: Path) -> "Places":
        """An ordinary user has all in the home folder; root, whom postgres refuses, has it under `service_folder`."""
        key = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        if os.geteuid() == 0:
            base = service_folder() / key
            return cls(home, base, base / "run")
        sockets = home / "run"
        if not _holds_a_socket(sockets):
            # Not tempfile.gettempdir(): two shells with different TMPDIR must find the same server.
            sockets = Path("/tmp") / f"batchconsole-{os.geteuid()}-{key}"  # noqa: S108 - checked when it is made
        return cls(home, home / "postgresql", sockets)

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.base / "data"

    @property
    def socket(self) -> Path:
        """The socket that clients connect to."""
        return self.sockets / f".s.PGSQL.{PORT}"

    @property
    def log(self) -> Path:
        """What the server and its keeper say."""
        return self.home / "logs" / "postgresql.log"

    @property
    def users_lock(self) -> Path:
        """Held shared by every process that uses the server."""
        return self.home / "locks" / "postgresql.users"

    @property
    def keeper_lock(self) -> Path:
        """Held by the one keeper; its text is the keeper's phase."""
        return self.home / "locks" / "postgresql.keeper"


def service_folder() -> Path:
    """Where root keeps what the unprivileged server must be able to enter."""
    return Path(os.environ.get("BATCHCONSOLE_SERVICE_DIR") or "/var/lib/batchconsole")


def embedded_database(home: Path) -> dict[str, Any]:
    """Django's DATABASES entry for the server of `home`; the backend starts it at the first connection.

    There is no password: the server asks the kernel who is at the other end of the socket (peer authentication) and
    lets in only the user who runs batchconsole. So no secret lies on the disk, and settings have nothing to read.
    """
    return {
        "ENGINE": "batchconsole.embedded.backend",
        "NAME": DATABASE,
        "USER": ROLE,
        "PASSWORD": "",
        "HOST": str(Places.of(home).sockets),
        "PORT": str(PORT),
        "OPTIONS": {},
        "EMBEDDED_HOME": home,
    }


def _holds_a_socket(folder: Path) -> bool:
    socket = str(folder / f".s.PGSQL.{PORT}")
    return len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(socket) is not None
