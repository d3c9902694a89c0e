"""POST to an address of somebody else, and nowhere else.

The address that is connected to is the one that was checked: the name is resolved once, each address it stands for is
looked at, and the socket goes there. No proxy of the environment is used and no redirect followed, for both could
lead elsewhere. All in all a request has a limited time and its answer a limited length.
"""

import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from queues.domain.text import clean
from queues.domain.webhooks import as_address, is_public

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
# For connecting, sending and the whole answer; also where each part comes just in time.
TOTAL_SECONDS = 20.0
MOST_ANSWER = 64 * 1024
MOST_ADDRESSES = 4
SHOWN = 200
LONGEST_WAIT = 3_600.0


class DeliveryError(Exception):
    """No usable answer came: the message says why."""


class AddressRefused(DeliveryError):
    """The URL leads to where deliveries must not go."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said."""

    status: int
    text: str
    retry_after: float | None
    milliseconds: float

    @property
    def good(self) -> bool:
        """Whether the delivery has been taken."""
        return 200 <= self.status < 300

    @property
    def line(self) -> str:
        """One line for people."""
        return clean(
            f"{self.status} in {self.milliseconds:.0f} ms" + (f": {self.text}" if not self.good else ""), SHOWN
        )


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """One POST to a URL that `check_url` has passed. Raises `DeliveryError`."""
    parts = urlsplit(url)
    assert parts.hostname is not None  # checked before
    kind = _TLS if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname, parts.port, timeout=CONNECT_SECONDS)
    started, ended = time.monotonic(), _Deadline(connection)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
        connection.sock.settimeout(READ_SECONDS)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read(MOST_ANSWER).decode(errors="replace")
        took = (time.monotonic() - started) * 1000
        return Answer(answer.status, " ".join(clean(text, SHOWN).split()), _retry_after(answer), took)
    except DeliveryError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = f"no answer within {TOTAL_SECONDS:g} s" if ended.over else clean(str(error)) or type(error).__name__
        raise DeliveryError(f"{parts.hostname}: {reason}") from None
    finally:
        ended.stop()
        connection.close()


class _Deadline:
    """Ends a connection after the total time: each single wait has a limit, but there may be many of them."""

    def __init__(self, connection: "_Plain") -> None:
        self.over = False
        self._connection = connection
        self._timer = threading.Timer(TOTAL_SECONDS, self._end)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """It is done in time."""
        self._timer.cancel()

    def _end(self) -> None:
        self.over = True
        found = self._connection.sock
        if found is not None:
            try:
                # Of the plain socket below TLS: it wakes whoever waits, without a word to the other side.
                socket.socket.shutdown(found, socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


class _Plain(http.client.HTTPConnection):
    """Connects to an address that was looked at."""

    sock: socket.socket

    def connect(self) -> None:
        """Resolve, look, connect to that."""
        self.sock = _connected(self.host, self.port)


class _TLS(_Plain):
    """The same under TLS; the certificate must be that of the name in the URL."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Resolve, look, connect, greet."""
        super().connect()
        context = ssl.create_default_context()
        # In two steps: the greeting takes its time too, and whoever ends the connection has to find it.
        self.sock = secured = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        secured.do_handshake()


def _connected(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"{host} cannot be resolved: {error}") from None
    if not settings.WEBHOOK_PRIVATE:
        for *_, address in found:
            literal = as_address(str(address[0]))
            if literal is None or not is_public(literal):
                raise AddressRefused(f"{host} stands for {address[0]}, which is not a public address")
    last: OSError | None = None
    for info in found[:MOST_ADDRESSES]:
        try:
            return _to(info)
        except OSError as error:
            last = error
    raise DeliveryError(f"{host} cannot be connected to: {last or 'it has no address'}")


def _to(info: Any) -> socket.socket:
    family, kind, protocol, _name, address = info
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(CONNECT_SECONDS)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _retry_after(answer: http.client.HTTPResponse) -> float | None:
    """Seconds that the receiver asks for, given as such or as a date."""
    text = (answer.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - timezone.now()).total_seconds())
