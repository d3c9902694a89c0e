"""Figures of past minutes, kept when the runs they come from are gone.

Each of the last sixteen minutes is computed anew as a whole and written over what was there: a run that commits
late is in the next writing, and running this twice, or not for a while, changes nothing. After a longer while it goes
on where it had stopped, so that nothing is missing in the sums. What is past its retention is not lost for these
either: it is added up in one point for each queue, that of the first minute of time.
"""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F, Sum

from monitoring.models import MetricPoint
from queues.selectors import clock, throughput

# A minute longer than the console's chart: whatever that shows is written whole, however long nothing was written.
SPAN = timedelta(minutes=16)
MINUTE = timedelta(minutes=1)
RETENTION = timedelta(days=30)
# Points deleted in one round; the next ring takes the next ones.
DELETED = 10_000
KEY = ("queue_id", "minute")
# Where the points add up that were forgotten.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
COUNTS = (
    *("runs", "claimed", "succeeded", "failed", "retried", "dead", "bytes"),
    *("lost", "lasted_ms", "waited_ms"),
)
# Runs that are read at once when there is much to make up for.
SLICE = timedelta(days=1)


def roll_up() -> int:
    """Write the points of the last sixteen minutes, and what is missing before; the number of points written."""
    now = clock.database_now()
    start = (now - SPAN).replace(second=0, microsecond=0)
    last = newest() or throughput.first_end()
    if last is not None and last < start:
        start = max(last, now - RETENTION).replace(second=0, microsecond=0)
    written = 0
    while start < now:
        end = min(start + SLICE, now)
        written += _write([MetricPoint(**asdict(minute)) for minute in throughput.minutes(start, end)])
        start = end
    return written


def newest() -> datetime | None:
    """The minute of the newest point."""
    found: datetime | None = (
        MetricPoint.objects.filter(minute__gt=FIRST).order_by("-minute").values_list("minute", flat=True).first()
    )
    return found


def _write(points: list[MetricPoint]) -> int:
    figures = [field.name for field in MetricPoint._meta.fields if field.attname not in ("id", *KEY)]
    with transaction.atomic():
        MetricPoint.objects.bulk_create(
            points, update_conflicts=True, unique_fields=["queue", "minute"], update_fields=figures
        )
    return len(points)


def complete(since: datetime, bucket: int) -> tuple[datetime, list[throughput.WorkGroup]]:
    """Work of the minutes from that of `since` on to which nothing is added any more, and where they end; by buckets of
    so many seconds, over which the work of a minute is spread.

    A point is evidence for all before it: whoever wrote it wrote them as well, whole. What ended in the minute just
    before it may have been under way still; two minutes before it, everything was committed. `since` is at most the
    chart's length ago.
    """
    first = since.replace(second=0, microsecond=0)
    minutes: Iterable[tuple[datetime, int, int, int]] = (
        MetricPoint.objects.filter(minute__gte=first)
        .values_list("minute")
        .annotate(Sum("succeeded"), Sum("retried"), Sum("dead"))
        .order_by("minute")
    )
    found = list(minutes)
    end = max(first, found[-1][0] - MINUTE) if found else first
    groups = []
    for minute, *counts in found:
        if minute < end:
            number = int(minute.timestamp()) // bucket
            groups.append(throughput.WorkGroup(number, number + 60 // bucket - 1, *counts))
    return end, groups


def forget() -> int:
    """Delete points past their retention, a bounded number of them; the number deleted. Their sums are kept."""
    limit = clock.database_now() - RETENTION
    with transaction.atomic():
        past = MetricPoint.objects.filter(minute__gt=FIRST, minute__lt=limit).order_by("minute")
        old = list(past.select_for_update(skip_locked=True)[:DELETED])
        sums: dict[int, dict[str, int]] = {}
        for point in old:
            kept = sums.setdefault(point.queue_id, dict.fromkeys(COUNTS, 0))
            for name in COUNTS:
                kept[name] += getattr(point, name)
        for queue, counts in sorted(sums.items()):
            MetricPoint.objects.get_or_create(queue_id=queue, minute=FIRST, defaults=dict.fromkeys(COUNTS, 0))
            more = {name: F(name) + count for name, count in counts.items()}
            MetricPoint.objects.filter(queue_id=queue, minute=FIRST).update(**more)
        return MetricPoint.objects.filter(pk__in=[point.pk for point in old]).delete()[0]
