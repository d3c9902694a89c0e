"""Dead letters by cause: one line for each fingerprint, with its trend, and one cause in depth."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib.postgres.aggregates import ArrayAgg
from django.core.cache import cache
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Right

from queues import store
from queues.domain import frames
from queues.domain.fingerprint import NONE, normalise, stored
from queues.models import Attempt, DeadLetter, Queue
from queues.selectors.dead_letters import (
    GROUPED,
    DeadLetterQuery,
    DeadLetterRow,
    dead_letters_of,
    error_text,
    matching_letters,
    newest_of,
)
from queues.selectors.expressions import time_bucket
from queues.selectors.seen_causes import first_seen

SHOWN = 50
# Without a filter an index alone tells the causes, of up to about so many letters; under one up to `LOOK` are read. Of
# more, the newest `GROUPED` are. A text is looked for in the newest `LOOK`.
EXACT = 300_000
LOOK = 50_000
HOURS = 24
HIT = 100
IN_DEPTH = 2_000
SAMPLES = 10
HOUR = 3_600
# Letters whose trend is read anew each time; that of more is kept for so many seconds.
FRESH = 20_000
KEPT = 30
# The end of a traceback, in which the innermost frames are named.
TAIL = 4_000
# What is told of each group; an index alone tells the first, and the letters themselves the second.
_FACTS: dict[str, Any] = {
    "count": Count("pk"),
    "first_at": Min("died_at"),
    "last_at": Max("died_at"),
    "sample_job": Max("job_id"),
}
_HITS: dict[str, Any] = {"queues": ArrayAgg("queue_id", distinct=True), "batches": Count("batch_id", distinct=True)}


@dataclass(frozen=True, slots=True)
class CauseLine:
    """Dead letters of one fingerprint, `none` for those without. `first_at` is when the cause was first seen (in the
    queue that is asked for, else in any), also if those letters are gone; `trend` counts by hour, the last 24, oldest
    first."""

    fingerprint: str
    error_class: str
    place: str
    message: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    sample_job: int
    trend: list[int]


@dataclass(frozen=True, slots=True)
class ListedCause(CauseLine):
    """One of a list, with the queues and the number of batches that it hits: of all letters the newest `HIT` of each
    cause tell these, under a filter all that match."""

    queues: list[str]
    batches: int


@dataclass(frozen=True, slots=True)
class CauseList:
    """The most frequent causes; `more` are not shown. Where `exact` is false only the newest `read` letters were
    grouped; `letters` match among what was read."""

    rows: list[ListedCause]
    more: int
    letters: int
    exact: bool
    read: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What the newest letters of a cause have in common: the most frequent first. `read` are so many letters."""

    queues: list[tuple[str, int]]
    batches: list[tuple[int, str, int]]
    handlers: list[tuple[str, int]]
    reasons: list[tuple[str, int]]
    samples: list[DeadLetterRow]
    read: int


def cause_list(query: DeadLetterQuery, now: datetime, *, most: int | None = None) -> CauseList:
    """Matching letters grouped by fingerprint, the most frequent first; with `most`, of the newest so many."""
    rows, exact, read = _bounded(query, most)
    whole = exact and query == DeadLetterQuery()
    wanted = _FACTS if whole else _FACTS | _HITS
    found: Any = rows.order_by().values("fingerprint").annotate(**wanted)
    groups: list[dict[str, Any]] = list(found.order_by("-count", "-last_at"))
    shown = groups[:SHOWN]
    fingerprints = [group["fingerprint"] for group in shown]
    hits = _hits_of_all(fingerprints) if whole else _hits(shown)
    seen = first_seen(fingerprints, query.queue)
    samples = {row.job_id: row for row in dead_letters_of(group["sample_job"] for group in shown)}
    places = _places(samples)
    many = not exact or sum(group["count"] for group in shown) > FRESH
    trends = _kept_trend(query, fingerprints, now) if many else trend(query, fingerprints, now)
    lines = []
    for group in shown:
        if sample := samples.get(group["sample_job"]):
            fingerprint = group["fingerprint"]
            queues, batches = hits.get(fingerprint, ([sample.queue], 0))
            facts = _told(group, sample, places.get(sample.job_id, ""), trends[fingerprint], seen.get(fingerprint))
            lines.append(ListedCause(**facts, queues=queues, batches=batches))
    letters = sum(group["count"] for group in groups)
    return CauseList(lines, len(groups) - len(shown), letters, exact, read)


def _told(
    group: dict[str, Any], sample: DeadLetterRow, place: str, trend: list[int], seen: datetime | None
) -> dict[str, Any]:
    """The facts of a `CauseLine`."""
    return {
        **{name: group[name] for name in _FACTS},
        "first_at": min(group["first_at"], seen or group["first_at"]),
        "fingerprint": group["fingerprint"] or NONE,
        "error_class": sample.error_class,
        "place": place,
        "message": normalise(sample.message),
        "reason": sample.reason,
        "trend": trend,
    }


def _bounded(query: DeadLetterQuery, most: int | None) -> "tuple[QuerySet[DeadLetter], bool, int]":
    """The letters to group, whether they are all that match, and how many are read at most."""
    text, found = error_text(query.text) if query.text else Q(), replace(query, text="")
    rows = matching_letters(found)
    if most is None and found == DeadLetterQuery() and not query.text:
        most = GROUPED if store.one("dead_estimate") > EXACT else None
        exact = most is None
    else:
        limit = most or LOOK
        exact = rows.order_by()[: limit + 1].count() <= limit
        most = most or (LOOK if query.text else GROUPED)
    if not exact:
        rows = newest_of(rows, most or GROUPED)
    return rows.filter(text), exact, most or EXACT


def _kept_trend(query: DeadLetterQuery, fingerprints: list[str], now: datetime) -> dict[str, list[int]]:
    """The same, as it was at most `KEPT` seconds ago: of hundreds of thousands it takes a tenth of a second."""
    told = json.dumps([now.timestamp() // HOUR, asdict(query), fingerprints], default=str)
    key = f"queues.trend.{hashlib.sha256(told.encode()).hexdigest()}"
    return cast(dict[str, list[int]], cache.get_or_set(key, lambda: trend(query, fingerprints, now), KEPT))


def trend(query: DeadLetterQuery, fingerprints: list[str], now: datetime) -> dict[str, list[int]]:
    """Deaths in each of the last 24 hours, the oldest first, for each cause."""
    end = datetime.fromtimestamp((int(now.timestamp()) // HOUR + 1) * HOUR, now.tzinfo)
    start = end - timedelta(hours=HOURS)
    found = {fingerprint: [0] * HOURS for fingerprint in fingerprints}
    rows = (
        matching_letters(query)
        .filter(fingerprint__in=fingerprints, died_at__gte=start, died_at__lt=end)
        .order_by()
        .annotate(hour=time_bucket("died_at", HOUR))
        .values_list("fingerprint", "hour")
        .annotate(Count("pk"))
    )
    for fingerprint, hour, count in rows:
        found[fingerprint][int((hour - start).total_seconds()) // HOUR] = count
    return found


def cause(query: DeadLetterQuery, now: datetime) -> CauseLine | None:
    """The cause that a query names; None when nothing matches any more."""
    key = stored(query.fingerprint)
    facts = matching_letters(query).aggregate(**_FACTS)
    sample = next(iter(dead_letters_of([facts["sample_job"] or 0])), None)
    if sample is None:
        return None
    read = _kept_trend if facts["count"] > FRESH else trend
    place = _places([sample.job_id]).get(sample.job_id, "")
    day, seen = read(query, [key], now)[key], first_seen([key], query.queue).get(key)
    return CauseLine(**_told({**facts, "fingerprint": key}, sample, place, day, seen))


def depth(query: DeadLetterQuery) -> Depth:
    """The newest letters of a cause, counted by where they are from."""
    newest = matching_letters(query).order_by("-died_at", "-job_id")
    rows = list(newest.values_list("job_id", "queue__name", "batch_id", "batch__name", "handler", "reason")[:IN_DEPTH])
    batches = Counter((batch, name or "") for _job, _queue, batch, name, _handler, _reason in rows if batch)
    return Depth(
        queues=Counter(row[1] or "" for row in rows).most_common(SAMPLES),
        batches=[(batch, name, count) for (batch, name), count in batches.most_common(SAMPLES)],
        handlers=Counter(row[4] for row in rows).most_common(SAMPLES),
        reasons=Counter(row[5] for row in rows).most_common(SAMPLES),
        samples=dead_letters_of(row[0] for row in rows[:SAMPLES]),
        read=len(rows),
    )


def _hits_of_all(fingerprints: list[str]) -> dict[str, tuple[list[str], int]]:
    """Queues and number of batches of each cause, by the newest letters of it."""
    found = store.rows("cause_hits", fingerprints=fingerprints, newest=HIT)
    return {fingerprint: (queues, batches) for fingerprint, queues, batches in found}


def _hits(groups: list[dict[str, Any]]) -> dict[str, tuple[list[str], int]]:
    """The same as the groups have it themselves."""
    names = dict(Queue.objects.values_list("pk", "name"))
    return {
        group["fingerprint"]: (sorted(names.get(queue, "") for queue in group["queues"]), group["batches"])
        for group in groups
    }


def _places(jobs: Iterable[int]) -> dict[int, str]:
    """Where in the project the last try of each job went wrong, as file:line in function; where it is known."""
    rows = Attempt.objects.filter(job_id__in=list(jobs)).order_by("job_id", "finished_at", "pk")
    found = {}
    for job, tail in rows.annotate(tail=Right("traceback", TAIL)).values_list("job_id", "tail"):
        if place := frames.innermost(tail):
            found[job] = place
    return found
