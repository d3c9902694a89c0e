"""The archive page by page, under a filter."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from monitoring import filters, job_filters, limits
from monitoring.job_offers import Everything
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.list_search import Search, asked, search
from monitoring.views.page import show
from queues.domain.operating import ARCHIVED
from queues.selectors import archive as figures_of_archive
from queues.selectors import archived_jobs, batches, figures
from queues.selectors.archived_jobs import COUNTED, ArchivedPage, ArchivedPlace
from queues.selectors.job_totals import Total
from queues.selectors.job_walk import TooWide

NOTHING = ArchivedPage([], None, None)
# Queues of which an empty archive tells when their jobs come.
TOLD = 5


@require_safe
@viewer_required
def archive_list(request: HttpRequest) -> HttpResponse:
    """Archived jobs under a filter, the latest end first."""
    if number := filters.whole_number(filters.storable(request.GET.get("id", ""))):
        return redirect("job", job_id=number)
    chosen = job_filters.archive_chosen(request.GET)
    typed = asked(request, chosen, job_filters.ARCHIVE)
    if isinstance(typed, HttpResponse):
        return typed
    places = {name: job_filters.read_archived_place(request.GET.get(name, "")) for name in ("before", "after")}
    read: dict[str, Any] = {"page": NOTHING, "problem": typed.problem} if typed else _read(chosen, places)
    page: ArchivedPage = read["page"]
    partitions = limits.attempt(figures_of_archive.archive_partitions) or []
    context = {
        "nav": "archive",
        "jobs": sum(partition.jobs for partition in partitions),
        "bytes": sum(partition.bytes for partition in partitions),
        "newer": job_filters.write_archived_place(page.newer),
        "older": job_filters.write_archived_place(page.older),
        "paged": any(places.values()),
        "everything": _everything(chosen) if not read.get("problem") else Everything({}),
        **read,
        **_words(chosen, typed),
        **({} if page.rows else _empty()),
    }
    return show(request, "monitoring/archive.html", [], context, snapshot=Snapshot())


def _read(chosen: dict[str, str], places: dict[str, ArchivedPlace | None]) -> dict[str, Any]:
    """What the list shows, or what is wrong with its filter."""
    before, after = places["before"], places["after"]
    try:
        query = job_filters.archived_query(chosen)
        page = limits.attempt(lambda: archived_jobs.archived_page(query, before=before, after=after))
        total = limits.attempt(lambda: archived_jobs.archived_total(query))
    except (job_filters.Unclear, TooWide) as error:
        return {"page": NOTHING, "problem": str(error)}
    return {
        "page": page or NOTHING,
        "slow": page is None,
        "total": None if total is None else Total(min(total, COUNTED), total <= COUNTED),
        "batch": batches.batch(query.batch) if query.batch else None,
    }


def _everything(chosen: dict[str, str]) -> Everything:
    """All jobs under the filter of the list, as an operation calls its parts; the usual time is said as well."""
    if "payload" in chosen:
        return Everything({}, "To restore all that match, drop payload; or select rows.")
    within = chosen.get("within") or ("all" if chosen.get("batch") else job_filters.USUALLY_WITHIN)
    names = {"queue": "queue", "batch": "batch", "outcome": "outcome", "handler": "handler", "until": "before"}
    fields = {names[name]: value for name, value in chosen.items() if name in names}
    return Everything({"state": ARCHIVED, **fields, **({} if within == "all" else {"since": within})})


def _words(chosen: dict[str, str], typed: Search | None) -> dict[str, object]:
    """What the search and the form show of the filter."""
    queues = figures.queue_names()
    usually = "all" if chosen.get("batch") else job_filters.USUALLY_WITHIN
    words = {"queue": queues, "outcome": job_filters.OUTCOMES, "within": list(job_filters.WITHIN)}
    return {
        "chosen": chosen,
        "query": urlencode(chosen),
        "search": typed or search(chosen, job_filters.ARCHIVE),
        "suggestions": [f"{name}:{value}" for name, values in words.items() for value in values],
        "within": job_filters.WITHIN,
        "chosen_within": chosen.get("within") or usually,
        "all_times": urlencode({**chosen, "within": "all"}),
        "outcomes": job_filters.OUTCOMES,
        "queues": queues,
        "more": bool({"handler", "payload"} & set(chosen)),
    }


def _empty() -> dict[str, object]:
    """Whether there is anything at all; and when jobs of some queues come."""
    found = limits.attempt(archived_jobs.anything)
    retentions = archived_jobs.retentions()
    return {
        "anything": found is not False,
        "retentions": retentions[:TOLD],
        "more_queues": max(0, len(retentions) - TOLD),
    }
