"""Where a visitor comes from, as far as it can be believed.

Whoever connects can send an `X-Forwarded-For`. It counts only when a proxy that the site has named sent it, and of what
it holds only the last address that is no such proxy: what stands before it, the visitor may have written.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

# Visitors of whom a header tells that nobody vouches for: all of them are counted as one.
FORWARDED = "forwarded"
# A house has many addresses of the newer kind, and may choose any of them.
HOUSE = 64
# The other end of a socket of this machine has no address.
LOCAL = "127.0.0.1"
Address = IPv4Address | IPv6Address


def of(request: HttpRequest) -> str:
    """The visitor's address; of the newer kind, the network of the house."""
    peer = str(request.META.get("REMOTE_ADDR") or LOCAL)
    given = request.headers.get("X-Forwarded-For", "")
    if not given:
        return _house(peer)
    if not settings.TRUSTED_PROXIES:
        # The server in front of us may have taken the header for the visitor's address already.
        return FORWARDED
    for hop in (peer, *(part.strip() for part in reversed(given.split(",")))):
        found = _parse(hop)
        if found is None or not any(found in network for network in settings.TRUSTED_PROXIES):
            return _house(hop)
    return _house(peer)


def _house(text: str) -> str:
    found = _parse(text)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, HOUSE), strict=False))
    return str(found) if found else text


def _parse(text: str) -> Address | None:
    """The address in a hop, which may name a port too; None for what is none."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
