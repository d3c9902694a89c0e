"""What archiving and purging have done lately and when they come next; and who says how long a queue keeps its jobs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from queues import handlers
from queues.models import AuditEntry, Queue

ACTIONS = ("archive jobs", "purge")
TASKS = {"archive": "queues.tasks.archive", "purge": "queues.tasks.purge"}
# No index leads from an action to its entries: the newest are looked through.
LOOKED_AT = 2_000
SHOWN = 10
FIELDS = (
    *("archive_after", "archive_cancelled_after", "archive_dead_after"),
    *("purge_after", "purge_cancelled_after", "purge_dead_after"),
)


@dataclass(frozen=True, slots=True)
class UpkeepRun:
    """What was moved or removed within an hour, or by a person at once. `counts` are by what it was."""

    at: datetime
    until: datetime | None
    action: str
    actor: str
    source: str
    counts: list[tuple[str, int]]


def last_runs() -> list[UpkeepRun]:
    """The last ones that did something, the newest first, among the newest entries of the activity."""
    names = ("at", "action", "actor", "source", "outcome")
    newest = AuditEntry.deeds().order_by("-at", "-pk").values_list(*names)[:LOOKED_AT]
    found = [row for row in newest if row[1] in ACTIONS][:SHOWN]
    return [
        UpkeepRun(at, _moment(outcome.get("until")), action, actor, source, _counts(outcome))
        for at, action, actor, source, outcome in found
    ]


def next_runs(now: datetime) -> dict[str, datetime]:
    """When beat rings next for archiving and purging; it writes down only every few minutes when it rang last."""
    from django_celery_beat.models import PeriodicTask

    rows = PeriodicTask.objects.filter(task__in=TASKS.values(), enabled=True, last_run_at__isnull=False)
    names = {task: name for name, task in TASKS.items()}
    found = {}
    for row in rows.select_related("interval"):
        if row.interval is not None:
            every = timedelta(**{row.interval.period: row.interval.every})
            found[names[row.task]] = row.last_run_at + every * max(1, -((row.last_run_at - now) // every))
    return found


def retention_sources() -> dict[str, str]:
    """By queue, where its retention is from: `default`, `code` as declared, or `policy`, changed for this queue."""
    declared = {queue.name: queue.policy for queue in handlers.declared_queues()}
    return {queue.name: _source(queue, declared.get(queue.name, {})) for queue in Queue.objects.order_by("name")}


def _source(queue: Queue, declared: dict[str, object]) -> str:
    fresh = Queue(**settings.QUEUE_DEFAULTS)
    usual = {name: getattr(fresh, name) for name in FIELDS}
    if all(getattr(queue, name) == usual[name] for name in FIELDS):
        return "default"
    if all(getattr(queue, name) == declared.get(name, usual[name]) for name in FIELDS):
        return "code"
    return "policy"


def _counts(outcome: dict[str, object]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in outcome.items() if isinstance(count, int) and count]


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
