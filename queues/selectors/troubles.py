"""What a person should know of and no queue tells by itself: new causes of death, queues that refuse, batches that were
left standing, webhooks that fail. Each is a bounded query."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from queues.domain.records import EnqueueLimit
from queues.domain.states import BatchState
from queues.models import Batch, DeadLetter, EnqueueBucket, Webhook
from queues.selectors.seen_causes import first_seen

SHOWN = 5
# Letters among which new causes are looked for.
LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class NewCause:
    """A fingerprint of which no older letter is here. `count` are its letters among those looked at, `first_at` is when
    the first of them died, and `seen_at` when the cause was first seen: long before, where it has come back."""

    fingerprint: str
    error_class: str
    message: str
    queue: str
    count: int
    first_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Refusing:
    """A queue that takes no job now, because of its enqueue rate."""

    queue: str
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LeftStanding:
    """A running batch that a person has to let go on: paused, or still open for more jobs, since then."""

    id: int
    name: str
    paused: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class FailingWebhook:
    """A webhook whose last delivery was not taken."""

    name: str
    status: str
    at: datetime


def new_causes(since: datetime) -> list[NewCause]:
    """Causes whose letters have all come since then, the most frequent first. Three queries."""
    fields = ("fingerprint", "error_class", "message", "queue__name", "died_at")
    newest = DeadLetter.objects.filter(died_at__gte=since).exclude(fingerprint="").order_by("-died_at", "-job_id")
    rows = list(newest.values_list(*fields)[:LOOKED_AT])
    counts = Counter(row[0] for row in rows)
    # The last of each is the first that came.
    first = {row[0]: row for row in rows}
    found = [fingerprint for fingerprint, _ in counts.most_common(SHOWN)]
    if not found:
        return []
    older = [
        DeadLetter.objects.filter(fingerprint=one, died_at__lt=since).values_list("fingerprint", flat=True)[:1]
        for one in found
    ]
    known = set(older[0].union(*older[1:], all=True))
    new = [first[one] for one in found if one not in known]
    seen = first_seen(row[0] for row in new)
    return [
        NewCause(key, error_class, message, queue, counts[key], died_at, min(died_at, seen.get(key, died_at)))
        for key, error_class, message, queue, died_at in new
    ]


def refusing(now: datetime) -> list[Refusing]:
    """Queues whose bucket holds no whole job, by name. One query."""
    rows = EnqueueBucket.objects.filter(queue__enqueue_rate__isnull=False).select_related("queue")
    found = []
    for bucket in rows.order_by("queue__name"):
        limit = EnqueueLimit(bucket.queue.enqueue_rate or 1.0, bucket.queue.enqueue_burst)
        elapsed = max(0.0, (now - bucket.filled_at).total_seconds())
        # As the gate judges it: a full bucket that never holds a whole job is full.
        missing = min(1.0, limit.size) - min(limit.size, bucket.tokens + limit.rate * elapsed)
        if missing > 0:
            found.append(Refusing(bucket.queue.name, limit.rate, missing / limit.rate))
    return found


def left_standing(now: datetime, patience: timedelta) -> list[LeftStanding]:
    """Batches that have been paused or open for longer, the oldest first. One query."""
    paused, opened = Q(paused_at__lt=now - patience), Q(sealed_at=None, created_at__lt=now - patience)
    rows = Batch.objects.filter(paused | opened, state=BatchState.RUNNING, parent=None).order_by("pk")
    return [
        LeftStanding(pk, name, paused_at is not None, paused_at or created_at)
        for pk, name, paused_at, created_at in rows.values_list("pk", "name", "paused_at", "created_at")[:SHOWN]
    ]


def failing_webhooks(since: datetime) -> list[FailingWebhook]:
    """Those that are switched on and whose last delivery since then was not answered with a success. One query."""
    rows = Webhook.objects.filter(enabled=True, last_at__gte=since).exclude(last_status__startswith="2")
    found = rows.order_by("name").values_list("name", "last_status", "last_at")[:SHOWN]
    return [FailingWebhook(name, status, at) for name, status, at in found if at is not None]
