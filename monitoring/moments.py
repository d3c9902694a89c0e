"""How everything stood, once a minute: what cannot be told afterwards, because the queues keep no history of it.

Written by the control worker, whoever looks or not, so that a web process that has just started knows the last minutes
as well as any other. That the newest one is old says that nobody rings.
"""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta

from monitoring.models import Moment

MINUTE = timedelta(minutes=1)
RETENTION = timedelta(days=30)
# Rows deleted in one round; one is written in a minute.
DELETED = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """All queues together: jobs that are due, seconds for which the oldest has been, runs and the workers for them,
    dead letters, batches not announced, and workers that are heard of."""

    waiting: int = 0
    oldest: float = 0.0
    running: int = 0
    slots: int = 0
    dead: int = 0
    pending: int = 0
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What the control worker found when it looked last. Each problem is a check, a subject and a message."""

    at: datetime
    problems: list[list[str]] = field(default_factory=list)


def missing(now: datetime) -> bool:
    """Whether this minute has still to be written."""
    return not Moment.objects.filter(minute=_minute(now)).exists()


def write(now: datetime, standing: Standing, problems: list[list[str]]) -> None:
    """Write this minute; the first to do so counts."""
    row = Moment(minute=_minute(now), problems=problems, **asdict(standing))
    Moment.objects.bulk_create([row], ignore_conflicts=True)


def since(start: datetime) -> list[tuple[datetime, Standing]]:
    """The minutes from then on, oldest first."""
    names = [one.name for one in fields(Standing)]
    rows = Moment.objects.filter(minute__gte=start).order_by("minute").values_list("minute", *names)
    return [(minute, Standing(*figures)) for minute, *figures in rows]


def newest() -> Checked | None:
    """The last look of the control worker."""
    row = Moment.objects.order_by("-minute").values_list("minute", "problems").first()
    return Checked(*row) if row else None


def forget(now: datetime) -> int:
    """Delete what is past its retention, a bounded number of rows; how many."""
    old = Moment.objects.filter(minute__lt=now - RETENTION).order_by("minute").values("pk")[:DELETED]
    return Moment.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]


def _minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)
