"""A time of one's own for the charts: `?from=…&to=…` in the address, and the one spelling of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitoring import filters, minutes
from monitoring.filters import Unclear
from monitoring.job_filters import moment
from monitoring.minutes import WINDOWS, Window
from monitoring.rollup import RETENTION
from queues.selectors.clock import database_now

# The smallest bucket of which a chart shows at most so many; else the widest one.
BUCKETS, MOST = (60, 300, 1_200, 7_200, 21_600), 90
FORM = "%Y%m%dT%H%M"
SPELLING = re.compile(r"(\d{8}T\d{4})-(\d{8}T\d{4})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an address asks for: the window, what was typed, and what is wrong with that."""

    window: Window
    given: dict[str, str]
    usual: str
    problem: str = ""


def chosen(values: Mapping[str, str], usual: str = minutes.USUAL) -> Chosen:
    """The window of an address. Where its own time cannot be understood, the usual one and the reason."""
    given = {name: filters.bounded(values.get(name, "")) for name in ("from", "to")}
    try:
        filters.check_lengths(given)
        if not any(given.values()):
            name = filters.bounded(values.get("window", "")) or usual
            filters.one_of("Window", name, WINDOWS)
            return Chosen(WINDOWS[name], given, usual)
        return Chosen(_own(given["from"], given["to"]), given, usual)
    except Unclear as error:
        return Chosen(WINDOWS[usual], given, usual, str(error))


def window(name: str) -> Window | None:
    """The window of this name: one of those that are offered, or a time of its own as it is spelled. Asks no database:
    a socket wants to know it too."""
    if name in WINDOWS:
        return WINDOWS[name]
    found = SPELLING.fullmatch(name)
    if found is None:
        return None
    try:
        since, until = (datetime.strptime(text, FORM).replace(tzinfo=UTC) if text else None for text in found.groups())
        return _window(since, until, datetime.now(UTC)) if since else None
    except (ValueError, OverflowError):
        return None


def _own(since_text: str, until_text: str) -> Window:
    since, until, now = moment(since_text, "From"), moment(until_text, "To"), database_now()
    if since is None:
        raise Unclear("From: say since when, as 3h or 2026-01-31 14:00 (UTC).")
    if since >= now:
        raise Unclear("From: this has not begun yet.")
    if since < now - RETENTION:
        oldest = now - RETENTION
        raise Unclear(f"From: figures are kept for {RETENTION.days} days, since {oldest:%Y-%m-%d %H:%M} UTC.")
    until = None if until and until >= now else until
    if until and until.replace(second=0, microsecond=0) <= since.replace(second=0, microsecond=0):
        raise Unclear("To: it must be later than From, by a minute or more.")
    return _window(since, until, now)


def _window(since: datetime, until: datetime | None, now: datetime) -> Window:
    length = (until or now) - since
    if not timedelta() < length <= RETENTION + timedelta(days=1):
        raise ValueError("no time that figures are kept of")
    bucket = next((size for size in BUCKETS if length.total_seconds() / size <= MOST), BUCKETS[-1])
    first = datetime.fromtimestamp(int(since.timestamp()) // bucket * bucket, UTC)
    end = until.replace(second=0, microsecond=0) if until else None
    name = f"{first.strftime(FORM)}-{end.strftime(FORM) if end else ''}"
    words = f"{first:%Y-%m-%d %H:%M} to {f'{end:%Y-%m-%d %H:%M}' if end else 'now'} UTC"
    return Window(name, words, length, bucket, first, end)
