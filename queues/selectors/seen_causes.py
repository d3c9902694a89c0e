"""When causes were first seen: a memory that outlives their dead letters."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Min

from queues.models import SeenCause
from queues.selectors.figures import queue_id


def first_seen(fingerprints: Iterable[str], queue: str = "") -> dict[str, datetime]:
    """When each of these first had a dead letter, in one queue or in any; without those that are not known. One query
    of an index."""
    rows = SeenCause.objects.filter(fingerprint__in=list(fingerprints))
    if queue:
        rows = rows.filter(queue=queue_id(queue))
    return dict(rows.order_by().values_list("fingerprint").annotate(Min("first_at")))
