"""Figures of past minutes, kept when the runs they come from are gone.

Each of the last ten minutes is computed anew as a whole and written over what was there: a run that commits
late is in the next writing, and running this twice, or not for a while, changes nothing.
"""

from dataclasses import asdict
from datetime import timedelta

from django.db import transaction

from monitoring.models import MetricPoint
from queues.selectors import clock, throughput

SPAN = timedelta(minutes=10)
RETENTION = timedelta(days=30)
# Points deleted in one round; the next ring takes the next ones.
DELETED = 10_000
KEY = ("queue_id", "minute")


def roll_up() -> int:
    """Write the points of the last ten minutes; the number of points written."""
    now = clock.database_now()
    start = (now - SPAN).replace(second=0, microsecond=0)
    points = [MetricPoint(**asdict(minute)) for minute in throughput.minutes(start, now)]
    figures = [field.name for field in MetricPoint._meta.fields if field.attname not in ("id", *KEY)]
    with transaction.atomic():
        MetricPoint.objects.bulk_create(
            points, update_conflicts=True, unique_fields=["queue", "minute"], update_fields=figures
        )
    return len(points)


def forget() -> int:
    """Delete points past their retention, a bounded number of them; the number deleted."""
    limit = clock.database_now() - RETENTION
    old = MetricPoint.objects.filter(minute__lt=limit).order_by("minute").values("pk")[:DELETED]
    return MetricPoint.objects.filter(pk__in=old).delete()[0]
