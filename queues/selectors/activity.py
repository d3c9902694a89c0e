"""Who did what, when, why and with what outcome: the audit, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from queues.models import AuditEntry
from queues.selectors import timeline

# Entries that one export gives at most, and among which it looks.
EXPORTED, EXPORT_LOOK = 10_000, 100_000
# Entries whose words a filter offers.
RECENT = 2_000


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


def activity_export(query: ActivityQuery) -> timeline.Page[Entry]:
    """The newest `EXPORTED` matching entries; `older` is set when there may be more."""
    page = timeline.page(_within(query), "at", only=_only(query), size=EXPORTED, look=EXPORT_LOOK)
    return timeline.Page([_entry(row) for row in page.rows], None, page.older, page.looked)


def entry(entry_id: int) -> Entry | None:
    """One entry."""
    row = AuditEntry.objects.filter(pk=entry_id).first()
    return _entry(row) if row else None


def words() -> Words:
    """From the last `RECENT` entries."""
    rows = list(AuditEntry.objects.order_by("-at", "-pk").values_list("actor", "action", "source")[:RECENT])
    actors, actions, sources = (sorted(set(column)) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Words(actors, actions, sources)


def _within(query: ActivityQuery) -> "QuerySet[AuditEntry]":
    rows = AuditEntry.objects.all()
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
    # A row may have been written by an older version, or by hand.
    outcome = row.outcome if isinstance(row.outcome, dict) else {"outcome": row.outcome}
    return Entry(row.pk, row.at, row.actor, row.source, row.action, row.target, row.reason, outcome)
