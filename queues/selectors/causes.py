"""Dead letters by cause: one line for each fingerprint, with its trend, and one cause in depth."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from django.core.cache import cache
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Right

from queues import store
from queues.domain import frames
from queues.domain.fingerprint import normalise
from queues.models import Attempt, DeadLetter
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


@dataclass(frozen=True, slots=True)
class CauseLine:
    """Dead letters of one fingerprint. `trend` counts them by hour, the last 24, oldest first; `queues` and `batches`
    are those that its newest letters are of."""

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
    queues: list[str]
    batches: int


@dataclass(frozen=True, slots=True)
class CauseList:
    """The most frequent causes; `more` are not shown. Where `exact` is false only the newest `read` letters were
    grouped; `letters` match among what was read."""

    rows: list[CauseLine]
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
    groups = list(
        rows.order_by()
        .values("fingerprint")
        .annotate(count=Count("pk"), first_at=Min("died_at"), last_at=Max("died_at"), sample_job=Max("job_id"))
        .order_by("-count", "-last_at")
    )
    shown = groups[:SHOWN]
    fingerprints = [group["fingerprint"] for group in shown]
    samples = {row.job_id: row for row in dead_letters_of(group["sample_job"] for group in shown)}
    places = _places(samples)
    many = not exact or sum(group["count"] for group in shown) > FRESH
    trends = _kept_trend(query, fingerprints, now) if many else trend(query, fingerprints, now)
    hits = {found: (queues, batches) for found, queues, batches in _hits(fingerprints)}
    lines = [
        CauseLine(
            **group,
            error_class=sample.error_class,
            place=places.get(sample.job_id, ""),
            message=normalise(sample.message),
            reason=sample.reason,
            trend=trends[group["fingerprint"]],
            queues=hits.get(group["fingerprint"], ([sample.queue], 0))[0],
            batches=hits.get(group["fingerprint"], ([], 0))[1],
        )
        for group in shown
        if (sample := samples.get(group["sample_job"]))
    ]
    letters = sum(group["count"] for group in groups)
    return CauseList(lines, len(groups) - len(shown), letters, exact, read)


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


def cause(fingerprint: str, query: DeadLetterQuery, now: datetime) -> CauseLine | None:
    """One cause; None when nothing matches any more."""
    facts = matching_letters(query).aggregate(
        count=Count("pk"), first_at=Min("died_at"), last_at=Max("died_at"), sample_job=Max("job_id")
    )
    sample = next(iter(dead_letters_of([facts["sample_job"] or 0])), None)
    if sample is None:
        return None
    hits = next(iter(_hits([fingerprint])), ("", [sample.queue], 0))
    return CauseLine(
        fingerprint=fingerprint,
        error_class=sample.error_class,
        place=_places([sample.job_id]).get(sample.job_id, ""),
        message=normalise(sample.message),
        reason=sample.reason,
        trend=trend(query, [fingerprint], now)[fingerprint],
        queues=hits[1],
        batches=hits[2],
        **facts,
    )


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


def _hits(fingerprints: list[str]) -> list[tuple[str, list[str], int]]:
    return [
        (fingerprint, queues, batches)
        for fingerprint, queues, batches in store.rows("cause_hits", fingerprints=fingerprints, newest=HIT)
    ]


def _places(jobs: Iterable[int]) -> dict[int, str]:
    """Where in the project the last try of each job went wrong, as file:line in function; where it is known."""
    rows = Attempt.objects.filter(job_id__in=list(jobs)).order_by("job_id", "finished_at", "pk")
    found = {}
    for job, tail in rows.annotate(tail=Right("traceback", TAIL)).values_list("job_id", "tail"):
        if place := frames.innermost(tail):
            found[job] = place
    return found
