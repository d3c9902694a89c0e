"""Making the batches that are due: exactly one for each due time, whoever rings, and whoever dies meanwhile.

A due row is held, its batch is enqueued and its next due time written, in one transaction: before its commit nothing
has happened, after it the due time is over. A second ring skips the row that is held and finds it advanced afterwards.
That a batch is unique by schedule and due time also holds against a due time that a person has turned back.
"""

import logging
from datetime import datetime, timedelta
from time import monotonic

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Random

from queues import schedules, store
from queues.models import Batch, Recurring
from queues.selectors.clock import database_now
from queues.services import audit
from queues.services.recurring import make_batch

log = logging.getLogger(__name__)

# How long one ring may keep the control worker, which has other errands; a batch that is begun is finished.
SLICE = 0.5
# Missed due times are counted this far back.
LOOK_BACK = timedelta(days=366)


class _Made(Exception):
    """The batch of this due time exists already."""


def recur() -> bool:
    """Make the batches that are due, for a slice of time; whether more may be."""
    until = monotonic() + SLICE
    while store.repeated(_one):
        if monotonic() > until:
            return True
    return False


def _one() -> bool:
    """Serve one recurring batch that is due, or has no due time yet; whether there was one."""
    with store.atomic():
        now = database_now()
        due = Recurring.objects.filter(Q(next_due_at__lte=now) | Q(next_due_at=None), enabled=True)
        # In any order: one whose source ends the process must not stand in the way of the others for ever.
        row = due.select_for_update(skip_locked=True, no_key=True, of=("self",)).order_by(Random()).first()
        if row is None:
            return False
        try:
            schedule = schedules.schedule_of(row)
            if row.next_due_at is None:
                upcoming = schedule.next(now)
            else:
                first = max(row.next_due_at, now - LOOK_BACK)
                latest, missed = schedule.latest(first, now)
                _serve(row, latest, missed)
                upcoming = schedule.next(latest)
        except schedules.ScheduleError as error:
            row.last_error, upcoming = str(error)[:500], None
        row.next_due_at = upcoming
        if upcoming is None:
            # It would be looked at again and again.
            row.enabled = False
            row.last_error = row.last_error or "is never due again"
        row.save(update_fields=["next_due_at", "last_due_at", "last_error", "enabled"])
        return True


def _serve(row: Recurring, due: datetime, missed: int) -> None:
    """Make the batch of the latest due time; those before it, missed while nobody rang, are noted and left out."""
    if missed:
        log.warning("recurring %s: %s due times before %s were missed", row.name, missed, due.isoformat())
        audit.record(
            actor="schedule",
            source="beat",
            action="skip due times",
            target=f"recurring {row.name}",
            missed=missed,
            first=row.next_due_at.isoformat() if row.next_due_at else None,
            made=due.isoformat(),
        )
    row.last_due_at, row.last_error = due, ""
    try:
        with store.atomic():
            batch = make_batch(row, created_by="schedule", source=audit.SYSTEM)
            if batch is None:
                return
            try:
                with store.atomic():
                    Batch.objects.filter(pk=batch.pk).update(recurring=row, due_at=due)
            except IntegrityError:
                raise _Made from None
        log.info("recurring %s: batch %s, due at %s", row.name, batch.pk, due.isoformat())
    except _Made:
        log.info("recurring %s: the batch due at %s exists already", row.name, due.isoformat())
    except store.REPEATABLE:
        raise
    except Exception as error:  # whatever a source raises; where the connection is gone, the next statement says so
        log.exception("recurring %s, due at %s", row.name, due.isoformat())
        row.last_error = f"{type(error).__name__}: {error}".replace("\0", "")[:500]
