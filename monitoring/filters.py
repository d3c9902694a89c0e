"""Filters in addresses: what a query string means, and the one way to write it.

Each list has one meaning of its parameters for its page, its news and its bulk actions.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from monitoring.texts import UNSEEN
from queues.domain.states import BatchState
from queues.selectors.batches import BatchQuery
from queues.selectors.dead_letters import DeadLetterQuery, Place

KNOWN = ("queue", "batch", "cause", "state", "name")
LONGEST = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def batch_query(values: Mapping[str, str]) -> BatchQuery:
    """Which batches are meant; an unknown state is no filter."""
    state = values.get("state", "")
    return BatchQuery(
        state=state if state in set(BatchState) else "",
        queue=values.get("queue", ""),
        name=values.get("name", ""),
    )


def dead_letter_query(values: Mapping[str, str]) -> DeadLetterQuery:
    """Which dead letters are meant. A batch that is no number matches none, rather than all."""
    batch = values.get("batch", "")
    return DeadLetterQuery(
        queue=values.get("queue", ""),
        batch=None if not batch else whole_number(batch) or 0,
        fingerprint=values.get("cause", ""),
    )


def selection(query: DeadLetterQuery) -> dict[str, object]:
    """The filter as the services take it."""
    parts = {"queue": query.queue, "batch": query.batch, "fingerprint": query.fingerprint}
    return {name: value for name, value in parts.items() if value not in ("", None)}


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
