"""Dead letters by cause: all causes, and one in depth."""

from dataclasses import replace
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import charts, filters, limits
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.list_search import Search, asked, search
from monitoring.views.page import show
from queues.domain import frames
from queues.domain.states import DeadReason
from queues.selectors import cause_parts, causes, clock, figures, jobs


def listing(chosen: dict[str, str], most: int | None = None) -> dict[str, object] | None:
    """The causes under a filter, with their trends drawn; None when reading them took too long."""
    query = filters.dead_letter_query(chosen)
    found = limits.attempt(lambda: causes.cause_list(query, clock.database_now(), most=most))
    if found is None:
        return None
    lines = [
        {
            "row": row,
            "spark": charts.sparkline(row.trend),
            "day": sum(row.trend),
            "letters": urlencode({**chosen, "cause": row.fingerprint}),
            "queues": [(name, urlencode({**chosen, "queue": name})) for name in row.queues],
        }
        for row in found.rows
    ]
    return {"lines": lines, "more": found.more, "letters": found.letters, "exact": found.exact, "read": found.read}


@require_safe
@viewer_required
def cause_list(request: HttpRequest) -> HttpResponse:
    """All causes, the most frequent first."""
    chosen = letters_filter(request)
    typed = asked(request, chosen, filters.LETTERS, letters=True)
    if isinstance(typed, HttpResponse):
        return typed
    problem = typed.problem if typed else filters.flaw(chosen)
    found = None if problem else listing(chosen)
    context = {
        "nav": "dead-letters",
        "tab": "causes",
        "causes": found,
        "slow": found is None,
        "problem": problem,
        **filter_words(chosen, typed),
    }
    return show(request, "monitoring/causes.html", [("dead-summary", "")], context)


@require_safe
@viewer_required
def cause_detail(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """One cause: its trend, where it strikes, a traceback and samples."""
    chosen = letters_filter(request) | {"cause": fingerprint}
    if flaw := filters.flaw(chosen):
        raise filters.Unclear(flaw)
    query = replace(filters.dead_letter_query(chosen), fingerprint=fingerprint)
    row = causes.cause(query, clock.database_now())
    if row is None:
        raise Http404(f"no dead letter has cause {fingerprint}: they were retried or deleted")
    tries = jobs.attempts(row.sample_job)
    depth = limits.attempt(lambda: causes.depth(query))
    context = {
        "nav": "dead-letters",
        "tab": "causes",
        "row": row,
        "bars": _bars(row.trend),
        "day": sum(row.trend),
        "most": max(row.trend),
        "depth": depth,
        "struck": _struck(chosen, depth) if depth else {},
        "parts": limits.attempt(lambda: cause_parts.parts(query)),
        "try": tries[0] if tries else None,
        "pieces": frames.pieces(tries[0].traceback) if tries else [],
        **filter_words(chosen),
    }
    return show(request, "monitoring/cause.html", [], context, snapshot=Snapshot())


def _struck(chosen: dict[str, str], depth: causes.Depth) -> dict[str, list[tuple[str, int, str]]]:
    """Queues and batches that a cause strikes: the name, how often, and the filter that leaves only these letters."""
    return {
        "queues": [(name, count, urlencode({**chosen, "queue": name})) for name, count in depth.queues],
        "batches": [
            (name or str(batch), count, urlencode({**chosen, "batch": batch})) for batch, name, count in depth.batches
        ],
    }


def letters_filter(request: HttpRequest) -> dict[str, str]:
    """The filter of dead letters in an address."""
    return {name: value for name, value in filters.chosen(request.GET).items() if name not in ("state", "name")}


def filter_words(chosen: dict[str, str], typed: Search | None = None) -> dict[str, object]:
    """What the search and the form show of the filter."""
    queues, reasons = figures.queue_names(), [reason.value for reason in DeadReason]
    words = {"queue": queues, "why": reasons, "since": ["1h", "24h", "7d"]}
    return {
        "chosen": chosen,
        "query": urlencode(chosen),
        "search": typed or search(chosen, filters.LETTERS),
        "suggestions": [f"{name}:{value}" for name, values in words.items() for value in values],
        "queues": queues,
        "reasons": reasons,
        "spans": {"1h": "1 hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days"},
    }


def _bars(trend: list[int]) -> list[tuple[int, float, float, int, int]]:
    """x, y, height, count and hours ago of each bar, in a drawing of 24 by 40."""
    top = max(trend) or 1
    return [
        (place, 40 - 38 * count / top, 38 * count / top, count, len(trend) - 1 - place)
        for place, count in enumerate(trend)
    ]
