"""Batches: the list, and one batch."""

import json
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from monitoring import activity as wording
from monitoring import batch_export, batch_filters, filters, limits, rows
from monitoring.filters import Unclear
from monitoring.permissions import viewer_required
from monitoring.snapshot import BatchLine, Snapshot
from monitoring.views import batches_act
from monitoring.views.page import show
from queues.selectors import batch_lists, batch_past, batch_trash, batch_work, batches, figures

PANELS = (
    *("batch-why", "batch-progress", "batch-actions", "batch-causes", "batch-burnup", "batch-chunks", "batch-runs"),
    *("batch-graph", "batch-compare"),
)


@require_safe
@viewer_required
def batch_list(request: HttpRequest) -> HttpResponse:
    """All batches, newest first; parts are found in their parent."""
    chosen = batch_filters.chosen(request.GET)
    before = filters.whole_number(request.GET.get("before", ""))
    after = filters.whole_number(request.GET.get("after", ""))
    snapshot, problem, found = Snapshot(), "", None
    try:
        query = batch_filters.query(chosen)
        found = limits.attempt(lambda: _lines(batch_lists.batch_page(query, before=before, after=after), snapshot))
    except Unclear as error:
        problem = str(error)
    page, lines = found or (batch_lists.BatchPage([], None, None), [])
    first = before is None and after is None and not problem
    context = {
        "nav": "batches",
        "page": page,
        "lines": lines,
        "slow": found is None,
        "problem": problem,
        "deeds": batches_act.offered(chosen.get("state", "")),
        **(batches_act.everything(chosen, snapshot) if lines else {}),
        "chosen": chosen,
        "query": urlencode(chosen),
        "queues": figures.queue_names(),
        "now": snapshot.now,
        "top": filters.batch_key(page.rows[0].id if page.rows else 0) if first else "",
    }
    wanted = [("batch-tabs", urlencode(chosen)), *rows.watched("batch", [line.row.id for line in lines])]
    if first:
        subject = urlencode(chosen)
        wanted.append(("batch-news", subject))
        # What the page shows is the newest there is: where no index leads to it, finding it twice is dear.
        snapshot.once(("news", subject), lambda: [row.id for row in page.rows])
    return show(request, "monitoring/batches.html", wanted, context, snapshot=snapshot)


def _lines(page: batch_lists.BatchPage, snapshot: Snapshot) -> tuple[batch_lists.BatchPage, list[BatchLine]]:
    return page, snapshot.batch_lines(page.rows)


@require_safe
@viewer_required
def batch_detail(request: HttpRequest, batch_id: int) -> HttpResponse:
    """One batch: why it goes on, its progress, its causes of failure, its work over time, its parts and neighbours."""
    snapshot = Snapshot({batch_id})
    line = snapshot.batch(batch_id)
    if line is None:
        return _gone(request, batch_id)
    names = [*PANELS, *["batch-parts"] * line.row.is_parent]
    details = batch_work.details(batch_id)
    called_back = details is not None and details.callback_handler and details.generation
    events = limits.attempt(lambda: batch_work.events(batch_id, line.row.created_at))
    context = {
        "nav": "batches",
        "batch": line.row,
        "metadata": _metadata(batch_id),
        "details": details,
        "callback": limits.attempt(lambda: batch_past.callback(batch_id)) if called_back else None,
        "events": [(entry, wording.outcome(entry)) for entry in events.rows] if events else [],
        "events_slow": events is None,
        "own": f"batch {batch_id}",
        "exports": [(kind, words, batch_export.why_not(line.row, kind)) for kind, words in batch_export.KINDS.items()],
    }
    wanted = [(name, str(batch_id)) for name in names]
    return show(request, "monitoring/batch.html", wanted, context, snapshot=snapshot)


def _gone(request: HttpRequest, batch_id: int) -> HttpResponse:
    """What is left of a batch that was deleted: who has done it, when and why."""
    found = batch_trash.deleted(batch_id)
    if found is None:
        raise Http404(f"there is no batch {batch_id}")
    return render(request, "monitoring/batch_gone.html", {"nav": "batches", "gone": found}, status=410)


def _metadata(batch_id: int) -> dict[str, str]:
    """Texts as they are, everything else as the JSON it was given as."""
    found = batches.batch_metadata(batch_id)
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
    }
