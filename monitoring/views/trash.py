"""The trash: deleted jobs, how long they can be brought back, and bringing them back; how many batches lie in it."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import activity, filters, limits
from monitoring.job_offers import Everything
from monitoring.permissions import may_empty_trash, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.list_search import search
from monitoring.views.page import show
from queues.domain.states import JobState
from queues.selectors import batch_lists, figures, timeline, trash
from queues.selectors.job_totals import Total


@require_safe
@viewer_required
def trash_list(request: HttpRequest) -> HttpResponse:
    """Deleted jobs, the latest first."""
    chosen = {name: value for name, value in filters.chosen(request.GET).items() if name in ("queue", "batch")}
    batch = chosen.get("batch", "")
    problem = f"batch: {batch} is not a number." if batch and filters.whole_number(batch) is None else ""
    query = trash.TrashQuery(chosen.get("queue", ""), (filters.whole_number(batch) or 0) if batch else None)
    before = activity.read_place(request.GET.get("before", ""))
    after = activity.read_place(request.GET.get("after", ""))
    found = limits.attempt(lambda: trash.trash_page(query, before=before, after=after))
    page = found or timeline.Page([], None, None)
    context = {
        "nav": "dead-letters",
        "tab": "trash",
        "page": page,
        "slow": found is None,
        "newer": activity.write_place(page.newer) if page.newer else "",
        "older": activity.write_place(page.older) if page.older else "",
        "problem": problem,
        "paged": bool(before or after),
        "total": _total(query),
        **_batches(query.queue),
        "everything": Everything({"state": JobState.TRASHED.value, **chosen}),
        "chosen": chosen,
        "query": urlencode(chosen),
        "search": search(chosen, filters.LETTERS),
        "queues": figures.queue_names(),
        "may_empty": may_empty_trash(request.user),
        "kept": trash.kept(),
    }
    return show(request, "monitoring/trash.html", [], context, snapshot=Snapshot())


def _batches(queue: str) -> dict[str, Any]:
    """How many batches of a queue, or of all, lie in the trash whole, and the list of them; None when not known."""
    query = batch_lists.BatchQuery(state=batch_lists.TRASHED, queue=queue)
    found = limits.attempt(lambda: batch_lists.batch_count(query))
    chosen = {"state": query.state} | ({"queue": queue} if queue else {})
    total = None if found is None else Total(min(found, batch_lists.COUNTED), found <= batch_lists.COUNTED)
    return {"batches": total, "batches_query": urlencode(chosen)}


def _total(query: trash.TrashQuery) -> Total | None:
    found = limits.attempt(lambda: trash.trash_count(query))
    return None if found is None else Total(min(found, trash.COUNTED), found <= trash.COUNTED)
