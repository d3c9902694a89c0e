"""Where the console listens, and whether it does."""

import http.client
import socket
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    @property
    def local_host(self) -> str:
        """The host by which this machine reaches it: "all addresses" is none that one can ask for."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def url(self) -> str:
        """What an operator opens."""
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"

    def check(self) -> None:
        """Refuse what is no address to listen on."""
        if not 1 <= self.port <= 65_535:
            raise CommandError("--port must be between 1 and 65535")
        self._resolve()

    def check_free(self) -> None:
        """Refuse an address that cannot be listened on now, with the reason."""
        family, kind, where = self._resolve()
        with socket.socket(family, kind) as probe:
            # As the web server does, so that connections of the last one, which the kernel still ends, do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError as error:
                raise CommandError(
                    f"cannot listen on {self.host} port {self.port} ({error.strerror}): "
                    f"stop what uses it, or choose another with --port"
                ) from None

    def _resolve(self) -> tuple[socket.AddressFamily, socket.SocketKind, Any]:
        try:
            family, kind, _, _, where = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:
            raise CommandError(f"--host {self.host!r} is no address of this machine: {error}") from None
        return family, kind, where

    def answers(self) -> bool:
        """Whether a web server answers there."""
        client = http.client.HTTPConnection(self.local_host, self.port, timeout=2)
        try:
            client.request("GET", "/healthz")
            return client.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            client.close()
