"""Filters in addresses: what a query string means, and the one way to write it.

Each list has one meaning of its parameters for its page, its news and its bulk actions.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from django.core.signing import BadSignature, Signer

from monitoring.query_text import Language, Qualifier
from monitoring.texts import UNSEEN
from queues.selectors.dead_letters import DeadLetterQuery, Place

KNOWN = ("queue", "batch", "cause", "state", "name", "handler", "why", "text", "since")
SPAN = re.compile(r"(\d{1,5})\s*(min|m|h|d)", re.ASCII)
UNITS = {"m": 60, "min": 60, "h": 3_600, "d": 86_400}
# What the search of dead letters understands.
LETTERS = Language(
    (
        Qualifier("queue", "queue", "mail"),
        Qualifier("batch", "batch", "12"),
        Qualifier("error", "text", "refused", ("text", "message")),
        Qualifier("handler", "handler", "shop.send", ("type",)),
        Qualifier("cause", "cause", "4f1c…", ("fp", "fingerprint")),
        Qualifier("why", "why", "rejected", ("reason",)),
        Qualifier("since", "since", "2h", ("died",)),
        Qualifier("id", "id", "123", ("job",)),
    ),
    words="text",
    elsewhere="The list of jobs in the state dead also searches payloads and knows an until:.",
)
LONGEST = 200
# Later than every death: from a time that cannot be read on, nothing matches, rather than everything.
NEVER = datetime.max.replace(tzinfo=UTC)
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


def moment(text: str, now: Callable[[], datetime]) -> datetime | None:
    """A time: so long ago (15m, 2h, 7d), or a date and time, in UTC unless it says otherwise; None for what is none."""
    try:
        if span := SPAN.fullmatch(text):
            return now() - timedelta(seconds=int(span[1]) * UNITS[span[2]])
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def died_since(values: Mapping[str, str], now: Callable[[], datetime]) -> datetime | None:
    """From when on letters are meant; None for always."""
    since = values.get("since", "")
    return (moment(since, now) or NEVER) if since else None


def flaw(values: Mapping[str, str]) -> str:
    """What is wrong with a filter of dead letters; empty where nothing is."""
    if (batch := values.get("batch", "")) and whole_number(batch) is None:
        return f"batch: {batch} is not a number."
    if (since := values.get("since", "")) and moment(since, lambda: datetime.now(UTC)) is None:
        return "since: write so long ago, as 15m, 2h or 7d, or a time, as 2026-01-31 14:00 (UTC)."
    return ""


def dead_letter_query(values: Mapping[str, str], until: datetime | None = None) -> DeadLetterQuery:
    """Which dead letters are meant. A batch that is no number matches none, rather than all."""
    batch = values.get("batch", "")
    return DeadLetterQuery(
        queue=values.get("queue", ""),
        batch=None if not batch else whole_number(batch) or 0,
        fingerprint=values.get("cause", ""),
        until=until,
        handler=values.get("handler", ""),
        reason=values.get("why", ""),
        text=values.get("text", ""),
        since=died_since(values, lambda: datetime.now(UTC)),
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
