"""The schedule of a recurring batch, and which recurring batches cannot work."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery.schedules import ParseException
from celery.schedules import crontab as parsed_crontab
from django.conf import settings

from queues import codec, handlers
from queues.domain.cron import Cron, Every
from queues.domain.metadata import check_keys
from queues.domain.payload import DEFAULT_RULES, JsonText, PayloadError

if TYPE_CHECKING:
    from queues.models import Recurring

SHORTEST = timedelta(seconds=1)
_DECODER = json.JSONDecoder()
_WHITE = " \t\n\r"


class ScheduleError(ValueError):
    """The schedule has no due time: the message says why."""


def schedule_of(row: "Recurring") -> Cron | Every:
    """What its crontab or interval says. Raises `ScheduleError`."""
    if (row.crontab is None) == (row.interval is None):
        raise ScheduleError("either a crontab or an interval is needed")
    if row.interval is not None:
        try:
            step = timedelta(**{row.interval.period: row.interval.every})
        except OverflowError:
            raise ScheduleError("the interval is too long") from None
        if step < SHORTEST:
            raise ScheduleError("an interval is at least one second")
        return Every(step)
    line = row.crontab
    assert line is not None
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    try:
        parsed = parsed_crontab(**{name: getattr(line, name) for name in fields})
    except (ParseException, ValueError) as error:
        raise ScheduleError(f"not a cron line: {error}") from None
    return Cron(
        minutes=frozenset(parsed.minute),
        hours=frozenset(parsed.hour),
        days=frozenset(parsed.day_of_month),
        months=frozenset(parsed.month_of_year),
        weekdays=frozenset(parsed.day_of_week),
        zone=line.timezone,
    )


def payload_texts(text: str) -> Iterator[JsonText]:
    """The items of a JSON list, each as it is written. Raises `ValueError`."""
    items = json.loads(text)
    if not isinstance(items, list):
        raise ValueError("a JSON list is needed: one job for each item")
    place = text.index("[") + 1
    for _item in items:
        while text[place] in _WHITE + ",":
            place += 1
        _value, end = _DECODER.raw_decode(text, place)
        yield JsonText(text[place:end])
        place = end


def flaws(row: "Recurring") -> dict[str, str]:
    """What is wrong with a recurring batch, by field."""
    found: dict[str, str] = {}
    for check in (_name, _handler, _schedule, _payloads, _metadata):
        for field, message in check(row):
            found.setdefault(field, message)
    return found


def _name(row: "Recurring") -> Iterator[tuple[str, str]]:
    if not isinstance(row.name, str) or not 1 <= len(row.name.strip()) <= len(row.name) <= 200 or "\0" in row.name:
        yield "name", "text of 1 to 200 characters is needed"


def _handler(row: "Recurring") -> Iterator[tuple[str, str]]:
    if row.handler not in {handler.name for handler in handlers.known()}:
        yield "handler", "no handler of this name is declared"


def _schedule(row: "Recurring") -> Iterator[tuple[str, str]]:
    field = "interval" if row.interval_id is not None and row.crontab_id is None else "crontab"
    try:
        if schedule_of(row).next(datetime.now(UTC)) is None:
            yield field, "is never due"
    except ScheduleError as error:
        yield field, str(error)


def _payloads(row: "Recurring") -> Iterator[tuple[str, str]]:
    try:
        items = list(payload_texts(row.payloads))
    except (ValueError, TypeError, RecursionError) as error:
        yield "payloads", str(error)
        return
    if row.source:
        if row.source not in handlers.sources():
            known = ", ".join(handlers.sources()) or "none is declared"
            yield "source", f"unknown source {row.source!r}; known: {known}"
        if items:
            yield "payloads", "either payloads or a source"
        return
    if not items:
        yield "payloads", "at least one item is needed, or a source"
    if len(items) > settings.BATCH_MAX_JOBS:
        yield "payloads", f"{len(items):,} items; at most {settings.BATCH_MAX_JOBS:,}: declare a source"
    for index, item in enumerate(items):
        try:
            codec.encode(item, DEFAULT_RULES)
        except PayloadError as error:
            yield "payloads", f"item {index}: {error}"
            return


def _metadata(row: "Recurring") -> Iterator[tuple[str, str]]:
    if not isinstance(row.metadata, dict):
        yield "metadata", "an object is needed"
        return
    try:
        codec.encode(row.metadata, DEFAULT_RULES)
        check_keys(row.metadata)
    except PayloadError as error:
        yield "metadata", str(error)


def in_words(row: "Recurring") -> str:
    """The schedule as a person reads it."""
    if row.interval is not None:
        return f"every {row.interval.every} {row.interval.period}"
    line: Any = row.crontab
    if line is None:
        return ""
    fields = (line.minute, line.hour, line.day_of_month, line.month_of_year, line.day_of_week)
    return f"{' '.join(fields)} {line.timezone}"


def whole_seconds(value: timedelta | float) -> int:
    """The length of an interval. Raises `ScheduleError`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ScheduleError("every: seconds or a timedelta is needed")
    if seconds != int(seconds) or not 1 <= seconds <= 100 * 366 * 86_400:
        raise ScheduleError("every: whole seconds, from 1 to a hundred years")
    return int(seconds)
