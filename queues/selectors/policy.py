"""The policy of one queue, field by field, as a page or a form shows it."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import models

from queues.models import Queue
from queues.selectors.advice import advise, chunk_in_words, in_words
from queues.services.change_policy import GROUPS, state_of

# What fields of these names are counted in, where it is not jobs.
_UNITS = {
    **dict.fromkeys(("timeout", "run_target", "backoff_base", "backoff_cap", "flush_seconds", "keep_results"), "s"),
    **dict.fromkeys(("archive_after", "purge_after", "archive_cancelled_after", "purge_cancelled_after"), "s"),
    **dict.fromkeys(("archive_dead_after", "purge_dead_after"), "s"),
    **dict.fromkeys(("rate_limit", "enqueue_rate"), "/s"),
    "flush_bytes": "bytes",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `value` as a form writes it, "" for none. `kind` is choice, whole, number, json or text."""

    name: str
    value: str
    kind: str
    help: str
    unit: str
    needed: bool
    choices: list[tuple[str, str]]

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def shown(self) -> str:
        """The value in words."""
        words = dict(self.choices)
        return words.get(self.value, self.value)

    @property
    def span(self) -> timedelta | None:
        """A long time as one: 2592000 s says little."""
        return (
            timedelta(seconds=float(self.value))
            if self.unit == "s" and self.value and float(self.value) >= 120
            else None
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """All fields by group, and what this state of them is called."""

    queue: str
    seen: str
    groups: dict[str, list[Field]]


def policy(name: str) -> Policy:
    """The policy as it stands. Raises `LookupError` for an unknown name."""
    queue = _found(name)
    groups = {title: [_field(queue, field) for field in fields] for title, fields in GROUPS.items()}
    return Policy(queue.name, state_of(queue), groups)


def advice(name: str) -> list[str]:
    """What the last runs say of the sizes, a line for each handler. Raises `LookupError` for an unknown name."""
    return [f"{in_words(one)}. {chunk_in_words(one)}" for one in advise(_found(name))]


def chunk_advice(name: str, handler: str) -> list[tuple[str, int]]:
    """Into chunks of what size a batch for this handler is cut best, in words and as a number; nothing where no run of
    it has ended lately. Raises `LookupError` for an unknown queue."""
    found = []
    for one in advise(_found(name)):
        if one.handler == handler:
            runs = "run" if one.runs == 1 else f"{one.runs:,} runs"
            words = f"{runs} of {handler}, {one.job_ms:,.1f} ms a job. {chunk_in_words(one)}"
            found.append((words, one.chunk.size))
    return found


def _found(name: str) -> Queue:
    queue = Queue.objects.filter(name=name).first()
    if queue is None:
        raise LookupError(name)
    return queue


def _field(queue: Queue, name: str) -> Field:
    field: Any = Queue._meta.get_field(name)
    value = getattr(queue, name)
    return Field(
        name,
        _text(value, field),
        _kind(field),
        str(field.help_text),
        _UNITS.get(name, ""),
        needed=not (field.null or field.blank),
        choices=[(str(key), str(word)) for key, word in field.choices or ()],
    )


def _kind(field: Any) -> str:
    if field.choices:
        return "choice"
    if isinstance(field, models.JSONField):
        return "json"
    if isinstance(field, models.IntegerField):
        return "whole"
    return "number" if isinstance(field, models.FloatField) else "text"


def _text(value: Any, field: Any) -> str:
    if value is None:
        return ""
    if isinstance(field, models.JSONField):
        return json.dumps(value, ensure_ascii=False) if value else ""
    # The shortest spelling that is read back as the same number.
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
