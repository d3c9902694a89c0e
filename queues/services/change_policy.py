"""Changing the policy of a queue: checked as a whole, against what the person has seen, and noted from what to what."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction

from queues.models import Queue
from queues.services import audit
from queues.services.sync_queues import sync_slots

# What a person may change, in the groups in which it is shown. The name stays for good; the pause has verbs of its own.
GROUPS: dict[str, tuple[str, ...]] = {
    "Work": ("handler", "default_priority", "acknowledge", "concurrency", "timeout", "max_runs", "dead_letter_handler"),
    "Runs": ("run_target", "run_start", "run_least", "run_size", "settle_jobs"),
    "Chunks": ("boundaries", "chunk_size", "batch_threshold"),
    "Tries": ("max_attempts", "backoff", "backoff_base", "backoff_cap", "jitter"),
    "Collecting": ("flush_jobs", "flush_bytes", "flush_seconds"),
    "Rate": ("rate_limit", "rate_burst"),
    "Coming in": ("payload_rules", "enqueue_rate", "enqueue_burst"),
    "Keeping": (
        *("keep_results", "archive_after", "purge_after", "archive_cancelled_after", "purge_cancelled_after"),
        *("archive_dead_after", "purge_dead_after"),
    ),
}
# So much of a value is repeated to the person who wrote it.
SHOWN = 40
FIELDS = tuple(name for names in GROUPS.values() for name in names)


class PolicyRefused(ValueError):
    """The policy cannot be changed so: `fields` says why, by field; "" is the whole."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" if name else text for name, text in fields.items()))
        self.fields = dict(fields)


def state_of(queue: Queue) -> str:
    """A short name for a policy as it stands, by which a change knows what its author has seen."""
    values = json.dumps([getattr(queue, name) for name in FIELDS], sort_keys=True, default=str)
    return hashlib.sha256(values.encode()).hexdigest()[:16]


def change_policy(
    *, name: str, values: Mapping[str, Any], seen: str, actor: str, source: str, reason: str = ""
) -> dict[str, list[Any]]:
    """Set the given fields and return what has changed, as `[from, to]`; the next run goes by it.

    Texts are read as a form has them: an empty one is "none" where a field may be without. `seen` is the `state_of`
    the policy that the person looked at: where it has been changed since, nothing is overwritten. Slots, audit and
    the row are one transaction. Raises `PolicyRefused`.
    """
    if unknown := sorted(set(values) - set(FIELDS)):
        raise PolicyRefused({"": f"no field of a policy: {', '.join(unknown)}"})
    with transaction.atomic():
        queue = Queue.objects.select_for_update(no_key=True).filter(name=name).first()
        if queue is None:
            raise PolicyRefused({"": f"unknown queue {name!r}"})
        if state_of(queue) != seen:
            raise PolicyRefused({"": "the policy was changed meanwhile: look at it again. Nothing has been changed"})
        before = {field: getattr(queue, field) for field in values}
        _set(queue, values)
        changed = {field: [old, new] for field, old in before.items() if (new := getattr(queue, field)) != old}
        if changed:
            queue.save(update_fields=list(changed))
            sync_slots(queue=queue)
            audit.record(actor=actor, source=source, action="change queue", target=name, reason=reason, changed=changed)
    return changed


def _set(queue: Queue, values: Mapping[str, Any]) -> None:
    """Put checked values on the row in memory."""
    flaws: dict[str, str] = {}
    for name, value in values.items():
        try:
            setattr(queue, name, _read(Queue._meta.get_field(name), value))
        except (ValidationError, ValueError) as error:
            flaws[name] = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    try:
        queue.full_clean(exclude=[*flaws, "name"], validate_unique=False)
    except ValidationError as error:
        # A rule over several fields may speak of one that could not even be read.
        found = {name: " ".join(texts) for name, texts in error.message_dict.items()}
        flaws = {("" if name == "__all__" else name): text for name, text in found.items()} | flaws
    if flaws:
        raise PolicyRefused(flaws)


def _read(field: Any, value: Any) -> Any:
    if isinstance(value, str) and not isinstance(field, models.CharField):
        value = value.strip()
        if not value and field.null:
            return None
        if isinstance(field, models.JSONField):
            return _document(value)
        if not value:
            raise ValidationError("a value is needed")
    try:
        number = field.to_python(value)
    except ValidationError:
        # Django's own words are those of a programmer: "must be a float".
        if not isinstance(field, models.IntegerField | models.FloatField):
            raise
        kind = "whole number" if isinstance(field, models.IntegerField) else "number"
        raise ValidationError(f"{str(value)[:SHOWN]} is no {kind}") from None
    if isinstance(number, float) and not math.isfinite(number):
        raise ValidationError("a finite number is needed")
    return number


def _document(text: str) -> Any:
    try:
        return json.loads(text or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"no JSON object: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
