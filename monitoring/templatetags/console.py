"""How the pages write numbers, times, states and foreign text."""

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.template.defaultfilters import stringfilter
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from monitoring import frame as frames
from monitoring import texts
from monitoring.icons import ICONS

register = template.Library()

# A word and a shape for each state; the colour comes from the class and says nothing that these do not.
SHAPES = {
    "running": "half",
    "completed": "check",
    "succeeded": "check",
    "partial": "partly",
    "failed": "cross",
    "dead": "cross",
    "cancelled": "slash",
    "trashed": "trash",
    "waiting": "ring",
    "staged": "ring",
    "scheduled": "clock",
    "retrying": "retry",
    "held": "pause",
    "open": "dot",
    "pending": "clock",
    "paused": "pause",
    "queue-paused": "pause",
    "active": "dot",
    "healthy": "check",
    "silent": "silent",
    "suspended": "pause",
    "stopped": "stop",
    "stopping": "stop",
    "done": "check",
    "lost": "cross",
    "released": "left",
}
# States whose name is not the word for them.
WORDS = {"staged": "waits for a stage", "queue-paused": "queue paused"}
DASH = "–"


@register.filter
def number(value: float | None) -> str:
    """With separators: 1,204,331."""
    return DASH if value is None else f"{value:,.0f}"


@register.filter
def rate(value: float | None) -> str:
    """Per second: two digits that matter, no more."""
    if value is None:
        return DASH
    if value == 0 or value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.1 else "<0.1"


@register.filter
def percent(value: float | None) -> str:
    """Never rounded up to 100: one dead of a million shows."""
    if value is None:
        return DASH
    if value >= 1:
        return "100 %"
    return f"{math.floor(value * 10_000) / 100:.2f} %"


@register.filter
def duration(value: timedelta | None) -> str:
    """The two largest units: 1 h 04 min."""
    if value is None:
        return DASH
    seconds = max(0.0, value.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, large, small_size, small in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // small_size:02d} {small}"
    return f"{whole} s"


@register.filter
def milliseconds(value: float | None) -> str:
    """A number of milliseconds as a duration; a part of one where that is all."""
    if value is None:
        return DASH
    return f"{value:.2f} ms" if value < 1 else duration(timedelta(milliseconds=value))


@register.filter
def about(value: timedelta | None) -> str:
    """A forecast: one unit, and no more exact than it can be."""
    if value is None:
        return DASH
    seconds = value.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * 1.5:
            return f"~{seconds / size:.0f} {unit}"
    return f"~{max(1, round(seconds))} s"


@register.filter
@stringfilter
def visible(value: str) -> str:
    """Foreign text with its unseen characters spelled out."""
    return texts.visible(value)


@register.filter
@stringfilter
def first_line(value: str) -> str:
    """Foreign text as a table shows it."""
    return texts.first_line(value)


@register.filter
@stringfilter
def short_path(value: str) -> str:
    """The last part of a dotted name."""
    return value.rsplit(".", 1)[-1]


@register.filter
def pretty_json(value: str) -> SafeString:
    """Stored JSON, indented and coloured, character by character as it is."""
    pieces = (
        conditional_escape(token.text)
        if token.kind == "mark"
        else format_html('<span class="json-{}">{}</span>', token.kind, token.text)
        for token in texts.pretty_json(value)
    )
    return mark_safe("".join(pieces))  # noqa: S308


@register.filter
def operation_of(message: Any) -> dict[str, Any]:
    """The operation that a notice is about, and whether it can be undone at once; empty for any other."""
    tags = (message.extra_tags or "").split()
    number = next((tag.removeprefix("operation-") for tag in tags if tag.startswith("operation-")), "")
    return {"id": int(number), "undo": "undo" in tags} if number.isdigit() else {}


@register.filter
def share(value: float, whole: float) -> str:
    """A part of a whole, 0 to 100, for a drawing."""
    return f"{100 * value / whole:.1f}" if whole else "0"


@register.filter
def iso(moment: datetime) -> str:
    """A time as the browser reads it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.simple_tag
def when(moment: datetime | None, form: str = "ago") -> SafeString | str:
    """A time for the browser to show in its own zone: `ago`, `clock` or `full`. Without scripts it stays UTC,
    and what is pushed to many is the same for all of them."""
    if moment is None:
        return DASH
    text = moment.astimezone(UTC).strftime("%H:%M" if form == "clock" else "%Y-%m-%d %H:%M:%S")
    return _time(moment, form, f"{text} UTC")


@register.simple_tag(takes_context=True)
def elapsed(context: dict[str, Any], since: datetime, now: datetime | None = None) -> SafeString:
    """A duration that goes on, counted by the browser: what is told of a row need not change with each second."""
    return _time(since, "elapsed", "" if context.get("told") or now is None else duration(now - since))


@register.filter
@stringfilter
def timed(value: str) -> SafeString:
    """A sentence whose times, written in UTC, the browser shows in its own zone."""
    return format_html_join("", "{}", ((_read_time(piece),) for piece in texts.TIME.split(texts.visible(value))))


def _read_time(piece: str) -> str:
    """A time as the browser shows it; any other piece, also a reason that only looks like one, as it is."""
    if not texts.TIME.fullmatch(piece):
        return piece
    try:
        moment = datetime.strptime(piece, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return piece
    return _time(moment, "full", piece)


def _time(moment: datetime, form: str, text: str) -> SafeString:
    iso = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html('<time datetime="{}" data-form="{}">{}</time>', iso, form, text)


@register.simple_tag
@lru_cache
def icon(name: str, label: str = "") -> SafeString:
    """A drawing of 16 by 16; without a label it is only for the eye."""
    attributes = format_html(' role="img" aria-label="{}"', label) if label else mark_safe(' aria-hidden="true"')
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" width="16" height="16"{}>{}</svg>',
        attributes,
        mark_safe(ICONS[name]),  # noqa: S308
    )


@register.simple_tag
def state(name: str, word: str = "") -> SafeString:
    """A state as shape and word."""
    name = str(name)
    shape = icon(SHAPES.get(name, "dot"))
    return format_html('<span class="state is-{}">{}<span>{}</span></span>', name, shape, word or WORDS.get(name, name))


@register.simple_tag(takes_context=True)
def current(context: dict[str, Any], name: str) -> SafeString:
    """Marks the page on which the reader is."""
    return mark_safe(' aria-current="page"') if context.get("nav") == name else mark_safe("")


@register.simple_tag(takes_context=True)
def frame(context: dict[str, Any]) -> dict[str, object]:
    """What the frame of every page shows. Four small queries, unless they were made in the last ten seconds."""
    return frames.of_page(context["user"])
