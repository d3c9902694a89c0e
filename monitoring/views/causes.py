"""Dead letters by cause: all causes, and one in depth."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import cause_panels, filters, limits
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.list_search import Search, asked, search
from monitoring.views.page import show
from queues.domain import frames
from queues.domain.states import DeadReason
from queues.selectors import cause_parts, causes, figures, jobs


@require_safe
@viewer_required
def cause_list(request: HttpRequest) -> HttpResponse:
    """All causes, the most frequent first."""
    chosen = filters.letters(request.GET)
    typed = asked(request, chosen, filters.LETTERS, letters=True)
    if isinstance(typed, HttpResponse):
        return typed
    problem = typed.problem if typed else filters.flaw(chosen)
    context = {"nav": "dead-letters", "tab": "causes", "problem": problem, **filter_words(chosen, typed)}
    wanted = [("dead-summary", "")] + ([] if problem else [("causes", urlencode(chosen))])
    return show(request, "monitoring/causes.html", wanted, context)


@require_safe
@viewer_required
def cause_detail(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """One cause: its trend, where it strikes, a traceback and samples."""
    chosen = filters.letters(request.GET) | {"cause": fingerprint}
    subject, snapshot = filters.canonical(urlencode(chosen)), Snapshot()
    row = cause_panels.cause(snapshot, subject)
    if row is None:
        raise Http404(f"no dead letter has cause {fingerprint}: they were retried or deleted")
    query = filters.dead_letter_query(chosen)
    tries = jobs.attempts(row.sample_job)
    depth = limits.attempt(lambda: causes.depth(query))
    context = {
        "nav": "dead-letters",
        "tab": "causes",
        "row": row,
        "depth": depth,
        "struck": _struck(chosen, depth) if depth else {},
        "parts": limits.attempt(lambda: cause_parts.parts(query)),
        "try": tries[0] if tries else None,
        "pieces": frames.pieces(tries[0].traceback) if tries else [],
        **filter_words(chosen),
    }
    wanted = [(name, subject) for name in ("cause-actions", "cause-facts", "cause-trend")]
    return show(request, "monitoring/cause.html", wanted, context, snapshot=snapshot)


def _struck(chosen: dict[str, str], depth: causes.Depth) -> dict[str, list[tuple[str, int, str]]]:
    """Queues and batches that a cause strikes: the name, how often, and the filter that leaves only these letters."""
    return {
        "queues": [(name, count, urlencode({**chosen, "queue": name})) for name, count in depth.queues],
        "batches": [
            (name or str(batch), count, urlencode({**chosen, "batch": batch})) for batch, name, count in depth.batches
        ],
    }


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
