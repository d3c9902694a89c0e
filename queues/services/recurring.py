"""Batches that come again by a schedule: set, changed, removed by name; made when they are due by `recur`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import chain, islice
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models.signals import post_save
from django.dispatch import receiver

from queues import codec, handlers, schedules, store
from queues.domain.payload import DEFAULT_RULES, PayloadError
from queues.domain.states import FailureMode, Priority
from queues.models import Batch, Recurring
from queues.services import audit
from queues.services.enqueue import enqueue_batch
from queues.services.feed import EnqueueError, parse_priority
from queues.services.lanes import find_lane

# Fields whose change makes the due time that was computed worthless.
_TIMING = ("crontab_id", "interval_id", "enabled")


class RecurringRefused(ValueError):
    """The recurring batch cannot be set up or found: the message names the place. Nothing was changed."""


def recurring(
    name: str,
    handler: str | Callable[..., Any],
    payloads: Iterable[Any] | None = None,
    *,
    source: str | Callable[..., Any] | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    every: timedelta | float | None = None,
    queue: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    priority: Priority | str | None = None,
    failure_mode: FailureMode | str = FailureMode.CONTINUE,
    enabled: bool = True,
    actor: str = "code",
    origin: str = "api",
) -> Recurring:
    """Make a recurring batch, or change the one of this name to be as said; nothing happens where it is so already.

    `cron` is a line of five fields (minute, hour, day of month, month, day of week), in the time zone `timezone`;
    `every` is a timedelta or seconds. `payloads`, or a function declared with `@source`, which is asked each time. Due
    for the first time after now. Raises `RecurringRefused`, which names the place.
    """
    try:
        lane = find_lane(handler, queue)
        level = None if priority is None else parse_priority(priority)
    except EnqueueError as error:
        raise RecurringRefused(str(error)) from None
    if not isinstance(failure_mode, str) or failure_mode not in set(FailureMode):
        raise RecurringRefused(f"failure_mode: {failure_mode!r} is not one of {', '.join(FailureMode)}")
    if not isinstance(name, str) or "\0" in name:  # the row's own rules are asked after the look for its name
        raise RecurringRefused("name: text of 1 to 200 characters is needed")
    if not isinstance(metadata or {}, Mapping):
        raise RecurringRefused("metadata: an object is needed")
    values = {
        "queue_id": lane.id,
        "handler": lane.handler,
        "payloads": _list_text(payloads),
        "source": getattr(source, "source_name", source) or "",
        "metadata": dict(metadata or {}),
        "priority": level,
        "failure_mode": str(failure_mode),
        "enabled": enabled,
    }
    with store.atomic():
        values |= _schedule(cron, timezone, every)
        return _save(name, values, actor, origin)


def remove_recurring(*, name: str, actor: str, source: str) -> None:
    """Remove a recurring batch; the batches that it made stay. Raises `RecurringRefused`."""
    with store.atomic():
        _held(name).delete()
        audit.record(actor=actor, source=source, action="remove recurring", target=f"recurring {name}"[:200])


def enable_recurring(*, name: str, enabled: bool, actor: str, source: str, reason: str = "") -> None:
    """Let a recurring batch come, or rest. Raises `RecurringRefused`.

    What was due while it rested is not made up for.
    """
    with store.atomic():
        row = _held(name)
        if row.enabled != enabled:
            Recurring.objects.filter(pk=row.pk).update(enabled=enabled, next_due_at=None)
            action = "enable recurring" if enabled else "disable recurring"
            audit.record(actor=actor, source=source, action=action, target=f"recurring {name}"[:200], reason=reason)


def run_recurring(*, name: str, actor: str, source: str, reason: str = "", idempotency_key: str | None = None) -> Batch:
    """Make its batch now, apart from its schedule; with an `idempotency_key` that has a batch already, return that.

    Raises `RecurringRefused`, also for what its source raises, or `EnqueueError`.
    """
    with store.atomic():
        row = _held(name)
        # Its source may have other jobs by now: so the key is asked before it, and the row is held meanwhile.
        made = Batch.objects.filter(idempotency_key=idempotency_key).first() if idempotency_key else None
        if made is not None:
            return made
        try:
            batch = make_batch(row, created_by=actor, source="", idempotency_key=idempotency_key)
        except (EnqueueError, *store.DATABASE_ERRORS):
            raise
        except Exception as error:
            raise RecurringRefused(f"recurring {name!r}: {type(error).__name__}: {error}") from error
        if batch is None:
            raise RecurringRefused(f"recurring {name!r}: its source has nothing to do")
        Batch.objects.filter(pk=batch.pk).update(recurring=row)
        target = f"recurring {name}"[:200]
        audit.record(actor=actor, source=source, action="run recurring", target=target, reason=reason, batch=batch.pk)
        return batch


def make_batch(row: Recurring, *, created_by: str, source: str, idempotency_key: str | None = None) -> Batch | None:
    """Enqueue the batch of a schedule; None where its source has nothing. Without a `source` the caller tells of it.

    Raises `EnqueueError`, and whatever the source raises.
    """
    if row.source:
        found = handlers.sources().get(row.source)
        if found is None:
            raise EnqueueError(f"unknown source {row.source!r}")
        items = iter(found())
    else:
        items = iter(schedules.payload_texts(row.payloads))
    # What fits into one batch has no parts.
    first = list(islice(items, settings.BATCH_MAX_JOBS + 1))
    if not first:
        return None
    large = len(first) > settings.BATCH_MAX_JOBS
    return enqueue_batch(
        row.handler,
        chain(first, items) if large else first,
        queue=row.queue.name,
        name=row.name,
        metadata=row.metadata,
        priority=None if row.priority is None else Priority(row.priority),
        failure_mode=row.failure_mode,
        split=large,
        created_by=created_by,
        source=source,
        idempotency_key=idempotency_key,
    )


def _list_text(payloads: Iterable[Any] | None) -> str:
    if isinstance(payloads, str | bytes | Mapping):
        raise RecurringRefused(f"payloads: many are needed, not one {type(payloads).__name__}")
    texts = []
    for index, payload in enumerate(payloads or ()):
        try:
            texts.append(codec.encode(payload, DEFAULT_RULES))
        except PayloadError as error:
            raise RecurringRefused(f"payloads: item {index}: {error}") from None
    return f"[{','.join(texts)}]"


def _schedule(cron: str | None, timezone: str, every: timedelta | float | None) -> dict[str, Any]:
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule

    if (cron is None) == (every is None):
        raise RecurringRefused("either cron or every is needed")
    if every is not None:
        try:
            wanted: dict[str, Any] = {"every": schedules.whole_seconds(every), "period": "seconds"}
        except schedules.ScheduleError as error:
            raise RecurringRefused(str(error)) from None
        row: Any = IntervalSchedule(**wanted)
    else:
        fields = str(cron).split()
        if len(fields) != 5:
            raise RecurringRefused(f"cron: five fields are needed, {len(fields)} found")
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        wanted = {**dict(zip(names, fields, strict=True)), "timezone": _zone(timezone)}
        row = CrontabSchedule(**wanted)
    try:
        row.full_clean()
    except ValidationError as error:
        raise RecurringRefused(f"{'cron' if cron else 'every'}: {_words(error)}") from None
    found = type(row).objects.filter(**wanted).order_by("pk").first()
    if found is None:
        row.save()
        found = row
    ids = {"crontab_id": None, "interval_id": None}
    return {**ids, ("crontab_id" if cron is not None else "interval_id"): found.pk}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise RecurringRefused(f"timezone: {name!r} is not known") from None


def _save(name: str, values: dict[str, Any], actor: str, origin: str) -> Recurring:
    row = Recurring.objects.select_for_update(no_key=True).filter(name=name).first()
    before = None if row is None else {field: getattr(row, field) for field in values}
    if row is not None and before == values:
        return row
    row = row or Recurring(name=name)
    for field, value in values.items():
        setattr(row, field, value)
    if before is None or any(before[field] != values[field] for field in _TIMING):
        row.next_due_at = None
    row.last_error = ""
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        raise RecurringRefused(_words(error)) from None
    try:
        with store.atomic():
            row.save()
    except IntegrityError:
        raise RecurringRefused(f"name: {name!r} is being set by another transaction: try again") from None
    action = "add recurring" if before is None else "change recurring"
    audit.record(actor=actor, source=origin, action=action, target=f"recurring {name}"[:200])
    return row


def _held(name: str) -> Recurring:
    row = Recurring.objects.select_for_update(no_key=True).filter(name=name).first() if "\0" not in name else None
    if row is None:
        raise RecurringRefused(f"no recurring batch is called {name!r}")
    return row


def _words(error: ValidationError) -> str:
    parts = error.message_dict.items()
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in parts).replace("__all__: ", "")


@receiver(post_save, sender="django_celery_beat.CrontabSchedule")
@receiver(post_save, sender="django_celery_beat.IntervalSchedule")
def schedule_changed(sender: type, instance: Any, **_signal: Any) -> None:
    """Who hangs on a schedule that was changed is due when the new one says; the next ring computes it."""
    field = "crontab" if sender.__name__ == "CrontabSchedule" else "interval"
    Recurring.objects.filter(**{field: instance.pk}).update(next_due_at=None)
