"""The filters of the job list and of the archive: what an address means, and the one way to write it."""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from monitoring import filters
from monitoring.query_text import Language, Qualifier
from queues.domain.operating import PENDING
from queues.domain.states import JobState, Outcome
from queues.selectors.archived_jobs import ArchivedPlace, ArchivedQuery
from queues.selectors.clock import database_now
from queues.selectors.job_lists import LAST_ID, Place
from queues.selectors.job_sources import JobQuery

# As the lists that are filtered so know it.
Unclear = filters.Unclear
KNOWN = ("state", "queue", "handler", "batch", "since", "until", "error", "payload")
ARCHIVE_KNOWN = ("queue", "batch", "outcome", "handler", "payload", "within", "until")
STATES = [*(state.value for state in JobState), PENDING]
OUTCOMES = [outcome.value for outcome in Outcome]
# How far back the archive is searched unless a batch or a longer time is asked for.
WITHIN = {
    "1d": "the last day",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "365d": "the last year",
    "all": "all",
}
USUALLY_WITHIN = "7d"
ID = Qualifier("id", "id", "123", ("job",))
# What the searches of jobs and of the archive understand, in the order in which it is said.
JOBS = Language(
    (
        Qualifier("state", "state", "dead"),
        Qualifier("queue", "queue", "mail"),
        Qualifier("batch", "batch", "12"),
        Qualifier("handler", "handler", "shop.send", ("type",)),
        Qualifier("error", "error", "refused", ("message",)),
        Qualifier("payload", "payload", "user.id=42", ("args",)),
        Qualifier("since", "since", "2h", ("from",)),
        Qualifier("until", "until", "2026-01-31", ("to",)),
        ID,
    ),
    words="error",
    pairs="payload",
)
ARCHIVE = Language(
    (
        Qualifier("queue", "queue", "mail"),
        Qualifier("batch", "batch", "12"),
        Qualifier("outcome", "outcome", "dead", ("state",)),
        Qualifier("handler", "handler", "shop.send", ("type",)),
        Qualifier("payload", "payload", "user.id=42", ("args",)),
        Qualifier("within", "within", "30d", ("since", "ended")),
        Qualifier("until", "until", "2026-01-31", ("to",)),
        ID,
    ),
    pairs="payload",
    elsewhere="Jobs that are not archived yet are searched in the list of jobs.",
    thing="an archived job",
)
PLACE = re.compile(r"(\d{1,19})-(\d{1,19})-(\d{1,19})", re.ASCII)
ARCHIVE_PLACE = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return filters.given(values, KNOWN)


def archive_chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The same for the archive."""
    return filters.given(values, ARCHIVE_KNOWN)


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string. Raises `Unclear` for one that is too long."""
    return chosen(filters.pairs(query_string))


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `Unclear` for one that is too long."""
    return urlencode(parse(query_string))


def query(values: Mapping[str, str]) -> JobQuery:
    """Which jobs are meant. Raises `Unclear`."""
    filters.check_lengths(values)
    filters.one_of("State", values.get("state", ""), STATES)
    since, until = moment(values.get("since", ""), "From"), moment(values.get("until", ""), "To")
    filters.in_order(since, until)
    return JobQuery(
        state=values.get("state", ""),
        queue=values.get("queue", ""),
        handler=values.get("handler", ""),
        batch=batch(values),
        since=since,
        until=until,
        error=values.get("error", ""),
        payload=pair(values.get("payload", "")),
    )


def archived_query(values: Mapping[str, str]) -> ArchivedQuery:
    """Which archived jobs are meant. Raises `Unclear`."""
    filters.check_lengths(values)
    filters.one_of("Outcome", values.get("outcome", ""), OUTCOMES)
    number = batch(values)
    within = values.get("within") or ("all" if number is not None else USUALLY_WITHIN)
    since = None if within == "all" else moment(within, "Ended within")
    until = moment(values.get("until", ""), "To")
    if since and until and since >= until:
        words = WITHIN.get(within, f"what ended since {within}")
        ends = f"{until:%Y-%m-%d %H:%M} UTC"
        raise Unclear(f"Ended within: this is {words}, and To ({ends}) is before. Choose a longer time.")
    return ArchivedQuery(
        batch=number,
        queue=values.get("queue", ""),
        outcome=values.get("outcome", ""),
        since=since,
        until=until,
        handler=values.get("handler", ""),
        payload=pair(values.get("payload", "")),
    )


def batch(values: Mapping[str, str]) -> int | None:
    """The number of a batch. Raises `Unclear`."""
    text = values.get("batch", "")
    if not text:
        return None
    number = filters.whole_number(text)
    if number is None:
        raise Unclear(f"Batch: {text} is not a number.")
    return number


def moment(text: str, name: str) -> datetime | None:
    """A time: so long ago (15m, 2h, 7d), or a date and time, in UTC unless it says otherwise. Raises `Unclear`."""
    if not text:
        return None
    found = filters.moment(text, database_now)
    if found is None:
        raise Unclear(f"{name}: write so long ago, as 15m, 2h or 7d, or a time, as 2026-01-31 14:00 (UTC).")
    return found


def pair(text: str) -> tuple[str, str] | None:
    """A key and its value. Raises `Unclear`."""
    if not text:
        return None
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Unclear("Payload: write key=value, as in user.id=42.")
    return key.strip(), value.strip()


def write_place(place: Place | None) -> str:
    """A place in the list of jobs, as an address carries it."""
    return f"{place.key}-{place.chunk}-{place.job}" if place else ""


def read_place(text: str) -> Place | None:
    """The place in an address; None for what is none."""
    found = PLACE.fullmatch(text)
    return Place(*numbers) if found and (numbers := _numbers(found)) else None


def read_page(text: str) -> str:
    """Which page of the list of jobs is meant, `before=` or `after=` a place; empty for what is none."""
    name, _equals, place = text.partition("=")
    return text if name in ("before", "after") and read_place(place) else ""


def write_archived_place(place: ArchivedPlace | None) -> str:
    """A place in the archive, as an address carries it."""
    return f"{place.key}-{place.job}" if place else ""


def read_archived_place(text: str) -> ArchivedPlace | None:
    """The place in an address; None for what is none."""
    found = ARCHIVE_PLACE.fullmatch(text)
    return ArchivedPlace(*numbers) if found and (numbers := _numbers(found)) else None


def _numbers(found: "re.Match[str]") -> list[int] | None:
    numbers = [int(text) for text in found.groups()]
    # One more or less than a place must still be a number of the database.
    return numbers if max(numbers) <= LAST_ID else None


def key(place: Place) -> str:
    """Sorts as text like the list does, newest last."""
    return f"{place.key:020d}-{place.chunk:020d}-{place.job:020d}"
