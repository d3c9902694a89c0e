"""Jobs: the list under a filter, and one job with its history, payload, result and errors."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.views.decorators.http import require_safe

from monitoring import filters, job_filters, limits
from monitoring.job_offers import offered, offered_to_all
from monitoring.job_panels import tells_news
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.page import show
from queues.selectors import (
    batches,
    dead_letters,
    figures,
    job_detail,
    job_history,
    job_lists,
    job_rows,
    job_totals,
    jobs,
)
from queues.selectors.job_walk import TooWide, moment

ORDERS = {
    "enqueued": "newest first, by when it was enqueued",
    "due": "what is due first comes first",
    "ended": "latest end first",
    "died": "latest death first",
    "deleted": "last deleted first",
}
NOTHING = job_lists.JobPage([], [], None, None, "enqueued")


@require_safe
@viewer_required
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs under a filter, page by page."""
    if "q" in request.GET:
        return _jump(request)
    chosen = job_filters.chosen(request.GET)
    before, after = (job_filters.read_place(request.GET.get(name, "")) for name in ("before", "after"))
    first = before is None and after is None
    try:
        query = job_filters.query(chosen)
        found = limits.attempt(lambda: _page(query, before, after))
        total = limits.attempt(lambda: job_totals.job_total(query))
        problem = ""
    except (job_filters.Unclear, TooWide) as error:
        found, total, problem = NOTHING, None, str(error)
    page = found or NOTHING
    state = chosen.get("state", "") if chosen.get("state") in job_filters.STATES else ""
    context = {
        "nav": "jobs",
        "page": page,
        "lines": _lines(page),
        "slow": found is None,
        "problem": problem,
        "total": total,
        "chosen": chosen,
        "more": bool(set(chosen) - {"state", "queue", "batch"}),
        "query": urlencode(chosen),
        "state": state,
        "tabs": _tabs(chosen),
        "order": _order(chosen, page),
        "deeds": offered(state),
        "all_deeds": offered_to_all(chosen) if not problem else [],
        "newer": job_filters.write_place(page.newer),
        "older": job_filters.write_place(page.older),
        "queues": figures.queue_names(),
        "batch": _batch(chosen),
        "top": _top(page) if first and not problem and tells_news(chosen) else "",
    }
    news = [("job-news", str(context["query"]))] if context["top"] else []
    return show(request, "monitoring/jobs.html", news, context)


@require_safe
@viewer_required
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """One job, hot or archived."""
    found = job_detail.job(job_id)
    if found is None:
        raise Http404(f"job {job_id} was purged, or there never was one")
    letter = dead_letters.dead_letter(job_id)
    attempts = jobs.attempts(job_id)
    result = job_detail.result(job_id)
    context = {
        "nav": "jobs",
        "job": found,
        "letter": letter,
        "attempts": attempts,
        "events": _events(found, attempts, letter.died_at if letter else None),
        "payload": job_detail.payload(job_id),
        "result": result[0] if result else None,
        "result_until": result[1] if result else None,
        "deeds": offered(found.state),
        "same_cause": _same_cause(letter),
        **_neighbours(request),
    }
    return show(request, "monitoring/job.html", [], context, snapshot=Snapshot())


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


def _page(query: Any, before: job_lists.Place | None, after: job_lists.Place | None) -> job_lists.JobPage:
    job_totals.check_search(query)
    return job_lists.job_page(query, before=before, after=after)


def _jump(request: HttpRequest) -> HttpResponse:
    """What was typed into the search: a number leads to the job, or the batch; anything else filters the list."""
    text = filters.storable(request.GET["q"])[: filters.LONGEST]
    chosen = job_filters.chosen(request.GET)
    number = filters.whole_number(text)
    if number is not None:
        if job_detail.exists(number):
            return redirect("job", job_id=number)
        if batches.batch(number) is not None:
            return redirect("batch", batch_id=number)
        messages.warning(request, f"There is no job or batch {number}: it was purged, or never was.")
    elif text:
        chosen["payload" if "=" in text else "error"] = text
    return redirect(f"{resolve_url('jobs')}?{urlencode(chosen)}".rstrip("?"))


def _lines(page: job_lists.JobPage) -> list[tuple[job_rows.JobRow, str, datetime | None]]:
    """The rows, each with its place and the time by which the list is ordered."""
    places = {place.job: place for place in page.places}
    return [(row, job_filters.write_place(place := places[row.id]), _time(page, row, place)) for row in page.rows]


def _order(chosen: dict[str, str], page: job_lists.JobPage) -> str:
    in_batch = chosen.get("batch") and chosen.get("state") != "dead"
    return "in the order of the batch" if in_batch else ORDERS[page.ordered_by]


def _time(page: job_lists.JobPage, row: job_rows.JobRow, place: job_lists.Place) -> datetime | None:
    if page.ordered_by == "enqueued":
        return row.created_at
    if page.ordered_by == "due":
        return row.due_at
    return None if place.key == job_lists.UNENDED else moment(place.key)


def _tabs(chosen: dict[str, str]) -> list[tuple[str, str]]:
    """Each state with the rest of the filter."""
    rest = {name: value for name, value in chosen.items() if name != "state"}
    return [(state, urlencode({**({"state": state} if state else {}), **rest})) for state in ["", *job_filters.STATES]]


def _batch(chosen: dict[str, str]) -> batches.BatchRow | None:
    number = filters.whole_number(chosen.get("batch", ""))
    return batches.batch(number) if number else None


def _top(page: job_lists.JobPage) -> str:
    return job_filters.key(page.places[0] if page.places else job_lists.Place(0, 0, 0))


def _events(
    found: job_detail.JobDetail, attempts: list[jobs.AttemptRow], died_at: datetime | None
) -> list[job_history.Event]:
    runs = limits.attempt(lambda: job_detail.runs(found)) or []
    deeds = limits.attempt(lambda: job_history.deeds(found.id)) or []
    return job_history.history(found, runs, attempts, deeds, died_at)


def _same_cause(letter: dead_letters.DeadLetterRow | None) -> int | None:
    if letter is None or not letter.fingerprint:
        return None
    same = dead_letters.DeadLetterQuery(fingerprint=letter.fingerprint)
    return limits.attempt(lambda: dead_letters.dead_letter_count(same, 10_000))


def _neighbours(request: HttpRequest) -> dict[str, str]:
    """The jobs before and after this one in the list from which it was opened."""
    listed = job_filters.canonical(request.GET.get("in", ""))
    at = job_filters.read_place(request.GET.get("at", ""))
    found = {"listed": listed, "previous": "", "next": ""}
    if at is None:
        return found
    try:
        query = job_filters.query(job_filters.parse(listed))
        following = limits.attempt(lambda: job_lists.job_page(query, before=at, size=1))
        leading = limits.attempt(lambda: job_lists.job_page(query, after=at, size=1))
    except (job_filters.Unclear, TooWide):
        return found
    return found | {"previous": _link(leading, listed), "next": _link(following, listed)}


def _link(page: job_lists.JobPage | None, listed: str) -> str:
    if page is None or not page.rows:
        return ""
    at = urlencode({"in": listed, "at": job_filters.write_place(page.places[0])})
    return f"{resolve_url('job', job_id=page.rows[0].id)}?{at}"
