"""The activity list: its filter in the address, its news, and where an entry leads."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from monitoring import filters, job_filters, limits, panels
from monitoring.panels import NEWS, Ask, Context, Panel
from monitoring.query_text import Language, Qualifier
from monitoring.texts import cell
from queues.domain.states import Priority
from queues.selectors import activity, clock, timeline

KNOWN = ("actor", "action", "source", "target", "since", "until")
# What each is called where a part of the filter is shown.
NAMES = ("who", "what", "from", "to", "since", "until")
LABELS = dict(zip(KNOWN, ("Who", "What", "From", "To what", "Since", "Until"), strict=True))
LANGUAGE = Language(tuple(Qualifier(name, known, "") for name, known in zip(NAMES, KNOWN, strict=True)))
# Entries of one piece of a file. Each is read in a transaction of its own, whose statements have the limit of a page's.
PIECE = 1_000
# Made once: `json.dumps` makes one for each entry.
_JSON = json.JSONEncoder(ensure_ascii=False)
_SORTED = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
COLUMNS = ("at", "actor", "source", "action", "target", "reason", "outcome")
UUID_TEXT = re.compile(r"\(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)\Z", re.ASCII)
NUMBERED = re.compile(r"(batch|job|operation) (\d{1,18})\b", re.ASCII)
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
# What an entry holds as a number and people say by name.
PRIORITIES = ("priority", "default_priority")
QUEUE_DEEDS = ("pause queue", "resume queue", "change queue", "create queue")


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return filters.given(values, KNOWN)


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `filters.Unclear` for one that is too long."""
    return urlencode(chosen(filters.pairs(query_string)))


def query(values: Mapping[str, str]) -> activity.ActivityQuery:
    """Which entries are meant. Raises `filters.Unclear`."""
    filters.check_lengths(values, LABELS)
    words = {name: values.get(name, "") for name in ("actor", "action", "source", "target")}
    since, until = (job_filters.moment(values.get(name, ""), LABELS[name]) for name in ("since", "until"))
    filters.in_order(since, until, LABELS["since"], LABELS["until"])
    return activity.ActivityQuery(**words, since=since, until=until)


def moment(text: str) -> datetime | None:
    """A time of an address, in UTC unless it says otherwise; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def write_place(place: timeline.Place) -> str:
    """A place in a list by time, as an address carries it."""
    return f"{_micros(place)}-{place.id}"


def read_place(text: str) -> timeline.Place | None:
    """The place in an address; None for what is none."""
    found = filters.read_place(text)
    return timeline.Place(found.died_at, found.job_id) if found else None


def key(place: timeline.Place) -> str:
    """Sorts as text like the list does, newest last."""
    return f"{_micros(place):020d}-{place.id:020d}"


def link(entry: activity.Entry) -> str:
    """The address of what an entry is about; empty where there is none."""
    target = entry.target
    if found := UUID_TEXT.search(target):
        return _address("worker", found[1])
    if found := NUMBERED.match(target):
        return _address(found[1], int(found[2]))
    if entry.action in QUEUE_DEEDS:
        return _address("queue", target)
    return _address("queue", target.removeprefix("queue ")) if target.startswith("queue ") else ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A part of what came of a change: a name and a value, which may be a time, `at`, or lead somewhere."""

    name: str
    value: str
    link: str = ""
    at: datetime | None = None


def outcome(entry: activity.Entry) -> list[Fact]:
    """What came of it; a changed policy as `field: from -> to`."""
    found: list[Fact] = []
    for name, value in entry.outcome.items():
        if name == "changed" and isinstance(value, Mapping):
            found += [Fact(str(field), _change(str(field), change)) for field, change in value.items()]
        elif name == "outcomes" and isinstance(value, Mapping):
            found += [Fact(str(word), json.dumps(count)) for word, count in value.items()]
        elif name == "bulk":
            found.append(Fact("of operation", _words(name, value), link=_operation(value)))
        elif name == "operation" and value != entry.outcome.get("bulk"):
            found.append(Fact(name, _words(name, value), link=_operation(value)))
        elif name != "operation" and value is not None:
            found.append(Fact(name, _words(name, value), at=_time(value)))
    return found


def pieces(ids: Sequence[int], form: str) -> Iterator[str]:
    """Entries as a file, piece by piece: a table with a header, or an object on each line."""
    if form == "csv":
        yield _csv([COLUMNS])
    for start in range(0, len(ids), PIECE):
        with clock.bounded(limits.seconds()):
            found = activity.entries(ids[start : start + PIECE])
        yield _csv(map(_cells, found)) if form == "csv" else "".join(map(_line, found))


def activity_news(ask: Ask) -> Context:
    """Keys of the newest entries under a filter, by which the list knows how many it does not show."""
    try:
        wanted = query(chosen(filters.pairs(ask.subject)))
    except filters.Unclear:
        # The page itself says what is wrong.
        return {"keys": []}
    places = ask.snapshot.once(("news", wanted), lambda: activity.newest_activity(wanted, NEWS))
    return {"keys": [key(place) for place in places]}


def register() -> None:
    """Make the panel known."""
    panels.add(Panel("activity-news", activity_news, about="activity", every=2), activity=canonical)


def _micros(place: timeline.Place) -> int:
    return (place.at - filters.EPOCH) // timedelta(microseconds=1)


def _address(name: str, argument: object) -> str:
    try:
        return reverse(name, args=[argument])
    except NoReverseMatch:
        return ""


def _operation(number: object) -> str:
    return _address("operation", number) if isinstance(number, int) else ""


def _time(value: object) -> datetime | None:
    """The time that services write into an entry; None for any other text, also one that only looks like one."""
    return moment(value) if isinstance(value, str) and ISO_TIME.fullmatch(value) else None


def _words(name: str, value: object) -> str:
    if name in PRIORITIES and isinstance(value, int) and value in list(Priority):
        return Priority(value).label
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _change(name: str, change: object) -> str:
    if isinstance(change, list) and len(change) == 2:
        old, new = (_side(name, part) for part in change)
        return f"{old} → {new}"
    return json.dumps(change, ensure_ascii=False)


def _side(name: str, part: object) -> str:
    if part in (None, ""):
        return "none"
    return _words(name, part) if name in PRIORITIES else json.dumps(part, ensure_ascii=False)


def _values(entry: activity.Entry) -> tuple[str, ...]:
    at = entry.at.astimezone(UTC).isoformat()
    return (at, entry.actor, entry.source, entry.action, entry.target, entry.reason)


def _line(entry: activity.Entry) -> str:
    known = dict(zip(COLUMNS, _values(entry), strict=False))
    return _JSON.encode({**known, "outcome": entry.outcome, "id": entry.id}) + "\n"


def _cells(entry: activity.Entry) -> list[str]:
    """A row of a table; cells that a spreadsheet would take for formulas are quoted."""
    values = (*_values(entry), _SORTED.encode(entry.outcome))
    return [cell(value) for value in values]


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
