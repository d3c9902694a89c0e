"""What a webhook may be told and where, and how a delivery is signed. The one list of events is here."""

import hashlib
import hmac
import ipaddress
import re
from urllib.parse import urlsplit

# What can be delivered, and when it happens.
EVENTS: dict[str, str] = {
    "batch.enqueued": "a batch has been accepted with all its jobs; an open one when it is sealed",
    "batch.finished": "a batch has ended, also each time after it was opened again",
    "job.dead": "a job has become a dead letter; one delivery for each",
    "queue.paused": "a person has paused a queue, or changed reason or time of its pause",
    "queue.resumed": "a person has let a paused queue go on",
}
# What `webhooks test` sends.
TEST_EVENT = "webhook.test"

LONGEST_URL = 2_000
ALLOW = "BATCHCONSOLE_WEBHOOK_PRIVATE=1 allows it"
# Ranges that lead to an IPv4 address within: what they embed counts.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The same for networks of a site; what it leads to cannot be told from outside.
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_PLAIN = re.compile(r"[\x21-\x7e]+")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str, *, private: bool) -> str:
    """Why this URL cannot be delivered to; empty when it can. `private`: addresses that are not public are fine.

    A name is not resolved here: what it stands for may be another address at each delivery.
    """
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        return f"a URL of at most {LONGEST_URL:,} plain characters; write others percent-encoded"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"no URL: {error}"
    literal = as_address(host or "")
    wrong = {
        "only http:// and https:// can be delivered to": parts.scheme not in ("http", "https"),
        "no user or password belongs into it; deliveries are signed": "@" in parts.netloc,
        "the host is missing": not host or len(host) > 253,
        "the part after # never reaches a server": bool(parts.fragment),
        "port 0 cannot be connected to": port == 0,
        f"{host} is not a public address; {ALLOW}": literal is not None and not private and not is_public(literal),
    }
    return next((flaw for flaw, found in wrong.items() if found), "")


def as_address(host: str) -> Address | None:
    """The address that a host is written as, or None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also when it carries another one within."""
    if isinstance(address, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.ipv4_mapped is not None or address in _NAT64:  # nothing but a way to the one within
            return is_public(last)
        if address in _LOCAL_NAT64 or address.is_site_local or int(address) >> 32 == 0:
            return False
        if address.sixtofour is not None or address.teredo is not None:  # tunnels; versions of Python differ on them
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    )


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header: HMAC-SHA256 over `timestamp.body`."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
