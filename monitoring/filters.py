"""Filters in addresses: what a query string means, and the one way to write it.

Each list has one meaning of its parameters for its page, its news and its bulk actions. What cannot be understood is
named: nothing is left out or cut, for then a list were wider than was asked for.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from django.core.signing import BadSignature, Signer

from monitoring.query_text import Language, Qualifier
from monitoring.texts import UNSEEN
from queues.domain.states import DeadReason
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
    thing="a dead letter",
)
# Characters of one value; and of a whole filter as it is written in an address, where each may take twelve.
LONGEST, LONGEST_WRITTEN = 200, 32_000
# What the forms call a filter, where that is not its name in the address.
LABELS = {"since": "From", "until": "To", "meta": "Metadata", "within": "Ended within"}
LETTER_LABELS = {"since": "Died", "text": "Error"}
REASONS = [reason.value for reason in DeadReason]
# Later than every death: from a time that cannot be read on, nothing matches, rather than everything.
NEVER = datetime.max.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEALED = Signer(salt="monitoring.filters")
PLACE = re.compile(r"(\d{1,17})-(\d{1,18})", re.ASCII)


class Unclear(ValueError):
    """A filter cannot be understood: the message names it and says what it should be."""


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return given(values, KNOWN)


def given(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """These parameters of an address, as far as they have a value."""
    found = {name: bounded(values.get(name, "")) for name in names}
    return {name: value for name, value in found.items() if value}


def bounded(text: str) -> str:
    """A value of bounded length. One that is too long still is, so that it is refused wherever it is read."""
    return storable(text)[: LONGEST + 1]


def check_lengths(chosen: Mapping[str, str], labels: Mapping[str, str] = LABELS) -> None:
    """Raise `Unclear` for a value that is too long: the beginning of it would mean more."""
    for name, value in chosen.items():
        if len(value) > LONGEST:
            label = labels.get(name, name.capitalize())
            raise Unclear(f"{label}: this is longer than {LONGEST} characters. Shorten it.")


def one_of(label: str, value: str, known: Iterable[str]) -> None:
    """Raise `Unclear` for a value that is none of these; an empty one asks for nothing."""
    words = [word for word in known if word]
    if value and value not in words:
        raise Unclear(f"{label}: there is no {value}. It is one of {', '.join(words)}.")


def in_order(since: datetime | None, until: datetime | None, first: str = "From", last: str = "To") -> None:
    """Raise `Unclear` for a time that ends before it begins."""
    if since and until and since >= until:
        times = f"{since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC"
        raise Unclear(f"{first} and {last}: {last} must be later than {first}. As it is, {times}, nothing can match.")


def storable(text: str) -> str:
    """The text without unseen characters (PostgreSQL cannot hold all of them) and without space around it."""
    return UNSEEN.sub("", text).strip()


def pairs(query_string: str) -> dict[str, str]:
    """What a query string says. Raises `Unclear` for one that is longer than any filter."""
    if len(query_string) > LONGEST_WRITTEN:
        raise Unclear(f"The filter is longer than {LONGEST_WRITTEN:,} characters.")
    return dict(parse_qsl(query_string))


def letters(values: Mapping[str, str]) -> dict[str, str]:
    """The filter of dead letters among them: all of these have one state, and none has a name."""
    return {name: value for name, value in chosen(values).items() if name not in ("state", "name")}


def parse(query_string: str) -> dict[str, str]:
    """The filter of dead letters in a query string. Raises `Unclear` for one that is too long."""
    return letters(pairs(query_string))


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `Unclear` for one that is too long."""
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
    try:
        check_lengths(values, LETTER_LABELS)
        one_of("Why", values.get("why", ""), REASONS)
    except Unclear as error:
        return str(error)
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
