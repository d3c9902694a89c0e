"""What a chart says of each of its many intervals, written at once: node by node a template takes ten times as long."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from monitoring import texts
from monitoring.charts import Bar
from monitoring.marks import Mark
from monitoring.templatetags.console import iso, milliseconds, number, percent, rate

register = template.Library()

WRITTEN: dict[str, Callable[[Any], str]] = {
    "number": number,
    "percent": percent,
    "rate": rate,
    "milliseconds": milliseconds,
}


@register.simple_tag
def interval_rows(items: Iterable[Any], form: str, start: str, *columns: str) -> SafeString:
    """Rows of a table: the time at `start`, shown in a form of `when`, then each column, as `dead|number`.

    A step of a path is an attribute, or a place in a tuple: `0.start`.
    """
    paths = [(path.split("."), WRITTEN[how]) for path, _, how in (column.partition("|") for column in columns)]
    first = start.split(".")
    return mark_safe(  # noqa: S308
        "".join(
            f"<tr><td>{_time(_at(item, first), form)}</td>"
            + "".join(f'<td class="num">{escape(write(_at(item, path)))}</td>' for path, write in paths)
            + "</tr>"
            for item in items
        )
    )


@register.simple_tag
def interval_bars(bars: Iterable[Bar], height: int, form: str) -> SafeString:
    """What is shown of the interval that is pointed at, over its whole height."""
    return mark_safe(  # noqa: S308
        "".join(
            f'<rect class="hit" x="{bar.x}" y="0" width="{bar.width}" height="{height}">'
            f'<title data-at="{iso(bar.point.start)}" data-form="{escape(form)}">{_utc(bar.point.start)}: '
            f"{escape(rate(bar.succeeded))} succeeded, {escape(rate(bar.retried))} retried, "
            f"{escape(rate(bar.dead))} dead per second</title></rect>"
            for bar in bars
        )
    )


@register.simple_tag
def mark_lines(marks: Iterable[Mark], height: int) -> SafeString:
    """What people did, as lines from the top of a drawing to its ground."""
    return mark_safe("".join(_line(one, height) for one in marks))  # noqa: S308


def _line(mark: Mark, height: int) -> str:
    entry, path = mark.entry, f'd="M{mark.x} 0V{height}" vector-effect="non-scaling-stroke"'
    told = f"{entry.action} {texts.first_line(entry.target)} by {texts.visible(entry.actor)}"
    told += f": {texts.first_line(entry.reason)}" if entry.reason else ""
    return (
        f'<path class="mark" {path}/><path class="mark-hit" {path}><title data-at="{iso(entry.at)}" data-form="full">'
        f"{_utc(entry.at)}: {escape(told)}</title></path>"
    )


def _at(item: Any, path: list[str]) -> Any:
    for step in path:
        item = item[int(step)] if step.isdigit() else getattr(item, step)
    return item


def _time(moment: datetime, form: str) -> str:
    shown = f"{moment.astimezone(UTC):%H:%M} UTC" if form == "clock" else _utc(moment)
    return f'<time datetime="{iso(moment)}" data-form="{escape(form)}">{shown}</time>'


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
