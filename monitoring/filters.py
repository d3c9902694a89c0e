"""Filters in addresses: what a query string means, and the one way to write it.

Each list has one meaning of its parameters for its page, its news and its bulk actions.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from django.core.signing import BadSignature, Signer

from monitoring.texts import UNSEEN
from queues.selectors.dead_letters import DeadLetterQuery, Place

KNOWN = ("queue", "batch", "cause", "state", "name", "handler", "why", "text", "since")
# Spans of time that a list of dead letters can be narrowed to.
SINCE = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(days=1), "7d": timedelta(days=7)}
LONGEST = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEALED = Signer(salt="monitoring.filters")
PLACE = re.compile(r"(\d{1,17})-(\d{1,18})", re.ASCII)


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    given = {name: storable(values.get(name, ""))[:LONGEST] for name in KNOWN}
    return {name: value for name, value in given.items() if value}


def storable(text: str) -> str:
    """The text without unseen characters (PostgreSQL cannot hold all of them) and without space around it."""
    return UNSEEN.sub("", text).strip()


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string."""
    return chosen(dict(parse_qsl(query_string[:1000])))


def canonical(query_string: str) -> str:
    """The one spelling of a filter."""
    return urlencode(parse(query_string))


def whole_number(text: str) -> int | None:
    """A positive number that fits a bigint."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def dead_letter_query(values: Mapping[str, str], until: datetime | None = None) -> DeadLetterQuery:
    """Which dead letters are meant. A batch that is no number matches none, rather than all."""
    batch, since = values.get("batch", ""), SINCE.get(values.get("since", ""))
    return DeadLetterQuery(
        queue=values.get("queue", ""),
        batch=None if not batch else whole_number(batch) or 0,
        fingerprint=values.get("cause", ""),
        until=until,
        handler=values.get("handler", ""),
        reason=values.get("why", ""),
        text=values.get("text", ""),
        since=None if since is None else datetime.now(UTC) - since,
    )


def selection(query: DeadLetterQuery) -> dict[str, object]:
    """The filter as the services take it."""
    parts = {"queue": query.queue, "batch": query.batch, "fingerprint": query.fingerprint}
    parts |= {"handler": query.handler, "reason": query.reason, "text": query.text}
    parts |= {"since": query.since.isoformat() if query.since else None}
    chosen: dict[str, object] = {name: value for name, value in parts.items() if value not in ("", None)}
    # A time alone chooses nothing.
    return chosen | {"until": query.until.isoformat()} if chosen and query.until else chosen


def seal(moment: datetime) -> str:
    """A time as a form carries it that must come back as it was sent."""
    return SEALED.sign(moment.isoformat())


def unseal(text: str) -> datetime | None:
    """The time that was sealed; None for what was not."""
    try:
        return datetime.fromisoformat(SEALED.unsign(text))
    except (BadSignature, ValueError):
        return None


def write_place(place: Place) -> str:
    """A place in a list of dead letters, as an address carries it."""
    return f"{(place.died_at - EPOCH) // timedelta(microseconds=1)}-{place.job_id}"


def read_place(text: str) -> Place | None:
    """The place in an address; None for what is none."""
    match = PLACE.fullmatch(text)
    if match is None:
        return None
    try:
        return Place(EPOCH + timedelta(microseconds=int(match[1])), int(match[2]))
    except OverflowError:
        return None


def batch_key(batch_id: int) -> str:
    """Sorts as text like the list does, newest last."""
    return f"{batch_id:020d}"


def dead_letter_key(place: Place) -> str:
    """Sorts as text like the list does, newest last."""
    return f"{(place.died_at - EPOCH) // timedelta(microseconds=1):020d}-{place.job_id:020d}"
