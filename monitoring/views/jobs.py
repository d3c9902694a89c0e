"""One job: its live panels, its payload and its result."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.views.decorators.http import require_safe

from monitoring import job_filters, job_page, limits
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.page import show
from queues.selectors import job_detail, job_lists, jobs
from queues.selectors.gone import gone
from queues.selectors.job_walk import TooWide


@require_safe
@viewer_required
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """One job, hot or archived."""
    snapshot = Snapshot()
    found = job_page.found(snapshot, job_id)
    if found is None:
        raise Http404(limits.attempt(lambda: gone(job_id)) or f"there is no job {job_id}")
    result = job_detail.result(job_id)
    context = {
        "nav": "jobs",
        "job": found,
        "payload": job_detail.payload(job_id),
        "result": result[0] if result else None,
        "result_until": result[1] if result else None,
        **_neighbours(request),
    }
    live = [(name, str(job_id)) for name in job_page.NAMES]
    return show(request, "monitoring/job.html", live, context, snapshot=snapshot)


@require_safe
@viewer_required
def job_payload(request: HttpRequest, job_id: int) -> HttpResponse:
    """The whole payload as it was stored, as a file."""
    return _file(job_id, "", job_detail.payload(job_id, limit=None))


@require_safe
@viewer_required
def job_result(request: HttpRequest, job_id: int) -> HttpResponse:
    """The whole result as it was stored, as a file."""
    found = job_detail.result(job_id, limit=None)
    return _file(job_id, "-result", found[0] if found else None)


def _file(job_id: int, kind: str, found: jobs.Payload | None) -> HttpResponse:
    if found is None:
        raise Http404(f"job {job_id} was purged, never was, or keeps nothing of this")
    headers = {"Content-Disposition": f'attachment; filename="job-{job_id}{kind}.json"'}
    return HttpResponse(found.text, content_type="application/json", headers=headers)


def _neighbours(request: HttpRequest) -> dict[str, str]:
    """The jobs before and after this one in the list from which it was opened."""
    try:
        listed = job_filters.canonical(request.GET.get("in", ""))
    except job_filters.Unclear:
        listed = ""
    page = job_filters.read_page(request.GET.get("from", ""))
    at = job_filters.read_place(request.GET.get("at", ""))
    found = {"listed": "&".join(part for part in (listed, page) if part), "previous": "", "next": ""}
    if at is None:
        return found
    try:
        query = job_filters.query(job_filters.parse(listed))
        following = limits.attempt(lambda: job_lists.job_page(query, before=at, size=1))
        leading = limits.attempt(lambda: job_lists.job_page(query, after=at, size=1))
    except (job_filters.Unclear, TooWide):
        return found
    return found | {"previous": _link(leading, listed, page), "next": _link(following, listed, page)}


def _link(found: job_lists.JobPage | None, listed: str, page: str) -> str:
    if found is None or not found.rows:
        return ""
    at = {"in": listed, "at": job_filters.write_place(found.places[0])} | ({"from": page} if page else {})
    return f"{resolve_url('job', job_id=found.rows[0].id)}?{urlencode(at)}"
