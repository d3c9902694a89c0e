"""Activity: who did what, when, why and with what outcome."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from monitoring import activity as wording
from monitoring import filters, limits
from monitoring.permissions import viewer_required
from monitoring.views.list_search import search
from monitoring.views.page import show
from monitoring.views.sending import send
from queues.selectors import activity, timeline

TOP = timeline.Place(filters.EPOCH, 0)
NOTHING: timeline.Page[activity.Entry] = timeline.Page([], None, None)


@require_safe
@viewer_required
def activity_list(request: HttpRequest) -> HttpResponse:
    """All changes under a filter, the last first."""
    chosen = wording.chosen(request.GET)
    query, problem = None, ""
    try:
        query = wording.query(chosen)
    except filters.Unclear as error:
        problem = str(error)
    before = wording.read_place(request.GET.get("before", ""))
    after = wording.read_place(request.GET.get("after", ""))
    page = limits.attempt(lambda: activity.activity_page(query, before=before, after=after)) if query else NOTHING
    first = before is None and after is None and not problem
    entries = page.rows if page else []
    top = timeline.Place(entries[0].at, entries[0].id) if entries else TOP
    context = {
        "nav": "activity",
        "rows": [(one, wording.link(one), wording.outcome(one)) for one in entries],
        "page": page,
        "slow": page is None,
        "problem": problem,
        "paged": before is not None or after is not None,
        "newer": wording.write_place(page.newer) if page and page.newer else "",
        "older": wording.write_place(page.older) if page and page.older else "",
        "chosen": chosen,
        "search": search(chosen, wording.LANGUAGE),
        "query": urlencode(chosen),
        "words": limits.attempt(_words),
        "exported": activity.EXPORTED,
        "top": wording.key(top) if first else "",
    }
    news = [("activity-news", urlencode(chosen))] if first else []
    return show(request, "monitoring/activity.html", news, context)


@require_safe
@viewer_required
def activity_export(request: HttpRequest, form: str) -> HttpResponseBase:
    """The newest entries under the filter, as a file; how it was cut is in its name and in a header."""
    found = activity.activity_export(wording.query(wording.chosen(request.GET)))
    cut = f"-newest-{len(found.rows)}" if found.older else ""
    complete = {"X-Complete": "no" if found.older else "yes"}
    return send(request, f"activity{cut}", form, wording.pieces(found.rows, form), **complete)


def _words() -> dict[str, list[str]]:
    """What the filter offers: words that it can hold, without the unseen characters of foreign ones."""
    found = activity.words()
    lists = {"actors": found.actors, "actions": found.actions, "sources": found.sources}
    return {name: [word for word in words if filters.storable(word) == word] for name, words in lists.items()}
