"""Who did what, when, why and with what outcome: the audit, newest first."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from queues import store
from queues.models import AuditEntry
from queues.models.record import CODE, ENQUEUES
from queues.selectors import timeline

# Entries that one export gives at most, and among which it looks.
EXPORTED, EXPORT_LOOK = 10_000, 100_000
# Entries whose words a filter offers, and among which the deeds of a chart are looked for.
RECENT = 2_000
RECENT_OF_ALL = 200
# What happens by itself, or changes nothing of what runs: no mark on a chart.
QUIET = ("add recurring", "change recurring", "run recurring", "skip due times", "link batches", "create queue")
BY_ITSELF = "beat"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    id: int
    at: datetime
    actor: str
    source: str
    action: str
    target: str
    reason: str
    outcome: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """Which entries are meant: all that match every given part. `target` is a part of the text."""

    actor: str = ""
    action: str = ""
    source: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What has lately been in the list, for its filters."""

    actors: list[str]
    actions: list[str]
    sources: list[str]


def activity_page(
    query: ActivityQuery, *, before: timeline.Place | None = None, after: timeline.Place | None = None
) -> timeline.Page[Entry]:
    """One page."""
    page = timeline.page(_within(query), "at", only=_only(query), before=before, after=after)
    return timeline.Page([_entry(row) for row in page.rows], page.newer, page.older, page.looked)


def newest_activity(query: ActivityQuery, limit: int) -> list[timeline.Place]:
    """Places of the newest matching entries: what a list has not shown yet."""
    page = timeline.page(_within(query), "at", only=_only(query), size=limit)
    return [timeline.Place(row.at, row.pk) for row in page.rows]


def activity_export(query: ActivityQuery) -> timeline.Page[int]:
    """The ids of the newest `EXPORTED` matching entries; `older` is set when there may be more."""
    places: Any = _within(query).values_list("at", "pk", named=True)
    page = timeline.page(places, "at", only=_only(query), size=EXPORTED, look=EXPORT_LOOK)
    return timeline.Page([row.pk for row in page.rows], None, page.older, page.looked)


def entries(ids: Collection[int]) -> list[Entry]:
    """These entries, newest first."""
    with connection.wrap_database_errors:
        found = store.rows("audit_entries", ids=list(ids))
    return [Entry(*(*row[:-1], _outcome(json.loads(row[-1])))) for row in found]


def entry(entry_id: int) -> Entry | None:
    """One entry."""
    row = AuditEntry.objects.filter(pk=entry_id).first()
    return _entry(row) if row else None


def words() -> Words:
    """From the last `RECENT` entries, and of those about what code enqueues the last few."""
    names = ("actor", "action", "source")
    rows = list(AuditEntry.deeds().order_by("-at", "-pk").values_list(*names)[:RECENT])
    rows += AuditEntry.objects.order_by("-at", "-pk").values_list(*names)[:RECENT_OF_ALL]
    actors, actions, sources = (sorted(set(column)) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Words(actors, actions, sources)


def deeds(since: datetime, limit: int, *, until: datetime | None = None, target: str = "") -> list[Entry]:
    """The last changes of a time that may show in what is done, the last first; of one target, or of all."""
    newest = _within(ActivityQuery(since=since, until=until), AuditEntry.deeds()).order_by("-at", "-pk")
    # Chosen here: as a part of one statement, the planner would read the whole table for them.
    keys = [
        pk
        for pk, action, about, source in newest.values_list("pk", "action", "target", "source")[:RECENT]
        if action not in QUIET and source != BY_ITSELF and target in ("", about)
    ]
    return [_entry(row) for row in newest.filter(pk__in=keys[:limit])] if keys else []


def _within(query: ActivityQuery, among: "QuerySet[AuditEntry] | None" = None) -> "QuerySet[AuditEntry]":
    # Who asks for what code does not do looks through nothing that it does.
    others = query.source not in ("", *CODE) or query.action not in ("", *ENQUEUES)
    rows = among if among is not None else AuditEntry.deeds() if others else AuditEntry.objects.all()
    if query.since is not None:
        rows = rows.filter(at__gte=query.since)
    if query.until is not None:
        rows = rows.filter(at__lt=query.until)
    return rows


def _only(query: ActivityQuery) -> Any:
    exact = {name: value for name in ("actor", "action", "source") if (value := getattr(query, name))}
    if query.target:
        exact["target__icontains"] = query.target
    return (lambda rows: rows.filter(**exact)) if exact else None


def _entry(row: AuditEntry) -> Entry:
    return Entry(row.pk, row.at, row.actor, row.source, row.action, row.target, row.reason, _outcome(row.outcome))


def _outcome(found: Any) -> dict[str, Any]:
    # A row may have been written by an older version, or by hand.
    return found if isinstance(found, dict) else {"outcome": found}
