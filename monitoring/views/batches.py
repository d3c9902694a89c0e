"""Batches: the list, one batch, and its cancellation."""

import json
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, who
from monitoring.views.page import show
from queues.domain.states import BatchState
from queues.selectors import batches, figures


@require_safe
@viewer_required
def batch_list(request: HttpRequest) -> HttpResponse:
    """All batches, newest first; parts are found in their parent."""
    chosen = filters.chosen(request.GET)
    before = filters.whole_number(request.GET.get("before", ""))
    after = filters.whole_number(request.GET.get("after", ""))
    page = batches.batch_page(filters.batch_query(chosen), before=before, after=after)
    snapshot = Snapshot()
    first = before is None and after is None
    context = {
        "nav": "batches",
        "page": page,
        "lines": snapshot.batch_lines(page.rows),
        "chosen": chosen,
        "query": urlencode(chosen),
        "states": [state.value for state in BatchState],
        "queues": figures.queue_names(),
        "top": filters.batch_key(page.rows[0].id if page.rows else 0) if first else "",
    }
    news = [("batch-news", urlencode(chosen))] if first else []
    return show(request, "monitoring/batches.html", news, context, snapshot=snapshot)


@require_safe
@viewer_required
def batch_detail(request: HttpRequest, batch_id: int) -> HttpResponse:
    """One batch: its progress, its causes of failure, its parts."""
    snapshot = Snapshot({batch_id})
    line = snapshot.batch(batch_id)
    if line is None:
        raise Http404(f"there is no batch {batch_id}")
    names = ["batch-progress", "batch-actions", "batch-causes"] + ["batch-parts"] * line.row.is_parent
    context = {"nav": "batches", "batch": line.row, "metadata": _metadata(batch_id)}
    wanted = [(name, str(batch_id)) for name in names]
    return show(request, "monitoring/batch.html", wanted, context, snapshot=snapshot)


@require_http_methods(["GET", "POST"])
@operator_required
def cancel_batch(request: HttpRequest, batch_id: int) -> HttpResponse:
    """Ask, then stop a running batch."""
    line = Snapshot({batch_id}).batch(batch_id)
    if line is None:
        raise Http404(f"there is no batch {batch_id}")
    if line.row.state is not BatchState.RUNNING:
        messages.info(request, f"The batch has ended already: it is {line.row.state}.")
        return redirect("batch", batch_id=batch_id)
    if request.method != "POST":
        return ask(request, _cancel_question(line.row.name or f"batch {batch_id}", line.counts))
    from queues.services import cancel

    try:
        cancelled = cancel.cancel_batch(batch_id=batch_id, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The batch is cancelled: {cancelled:,} waiting jobs will not run.")
    return redirect("batch", batch_id=batch_id)


def _metadata(batch_id: int) -> dict[str, str]:
    """Texts as they are, everything else as the JSON it was given as."""
    found = batches.batch_metadata(batch_id)
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
    }


def _cancel_question(name: str, counts: batches.BatchCounts) -> Question:
    return Question(
        title=f"Cancel {name}?",
        verb="Cancel the batch",
        count=counts.unended,
        consequence=(
            f"{counts.waiting:,} waiting will not run. {counts.running:,} running stop before their next "
            "job, within two seconds. What has succeeded stays as it is."
        ),
        dangerous=True,
    )
