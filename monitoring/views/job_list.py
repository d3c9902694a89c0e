"""The list of jobs under a filter, page by page."""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import filters, job_filters, limits, rows
from monitoring.job_offers import Everything, Offer, everything, offered
from monitoring.job_panels import known, tells_news
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.list_search import Search, asked, search
from monitoring.views.page import show
from queues.domain.operating import PENDING
from queues.domain.states import JobState
from queues.selectors import archived_jobs, batches, figures, job_lists, job_rows, job_totals
from queues.selectors.job_walk import TooWide, moment

ORDERS = {
    "enqueued": "newest first, by when it was enqueued",
    "due": "what is due first comes first",
    "ended": "latest end first",
    "died": "latest death first",
    "deleted": "last deleted first",
}
NOTHING = job_lists.JobPage([], [], None, None, "enqueued")
# Columns that can be left out: their class, and what they are called.
COLUMNS = {
    "state": "State", "error": "Error and payload", "handler": "Handler", "queue": "Queue", "priority": "Priority",
    "failed": "Failed tries", "batch": "Batch",
}  # fmt: skip


class Line(NamedTuple):
    """A row, its place, the time by which the list is ordered, and what can be done with it at once."""

    row: job_rows.JobRow
    place: str
    time: datetime | None
    deeds: list[Offer]


class Reading(NamedTuple):
    """What was found: None for what took too long; `problem` says what is wrong with the filter."""

    page: job_lists.JobPage | None
    total: job_totals.Total | None
    problem: str = ""


@require_safe
@viewer_required
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs under a filter, page by page."""
    chosen = job_filters.chosen(request.GET)
    typed = asked(request, chosen, job_filters.JOBS)
    if isinstance(typed, HttpResponse):
        return typed
    places = {name: job_filters.read_place(request.GET.get(name, "")) for name in ("before", "after")}
    read = Reading(NOTHING, None, typed.problem) if typed else _read(chosen, places)
    page = read.page or NOTHING
    state = chosen.get("state", "") if chosen.get("state") in job_filters.STATES else ""
    tells = not any(places.values()) and not read.problem and tells_news(chosen)
    context = {
        "nav": "jobs",
        "page": page,
        "lines": _lines(page),
        "slow": read.page is None,
        "problem": read.problem,
        "total": read.total,
        "state": state,
        "order": _order(chosen, page),
        "deeds": offered(state),
        "everything": everything(chosen) if not read.problem else Everything({}),
        "newer": job_filters.write_place(page.newer),
        "older": job_filters.write_place(page.older),
        "here": _here(places),
        "columns": COLUMNS,
        "top": _top(page) if tells else "",
        "ended": _ended(chosen, page, read),
        "failing": _failing(chosen),
        **_words(chosen, typed),
    }
    live = rows.watched("job", [row.id for row in page.rows]) + [("job-news", urlencode(chosen))] * tells
    snapshot = known(urlencode(chosen), page.places) if tells else Snapshot()
    return show(request, "monitoring/jobs.html", live, context, snapshot=snapshot)


def _read(chosen: dict[str, str], places: dict[str, job_lists.Place | None]) -> Reading:
    try:
        query = job_filters.query(chosen)
        page = limits.attempt(lambda: _page(query, **places))
        return Reading(page, limits.attempt(lambda: job_totals.job_total(query)))
    except (job_filters.Unclear, TooWide) as error:
        return Reading(NOTHING, None, str(error))


def _page(query: Any, before: job_lists.Place | None, after: job_lists.Place | None) -> job_lists.JobPage:
    job_totals.check_search(query)
    return job_lists.job_page(query, before=before, after=after)


def _words(chosen: dict[str, str], typed: Search | None) -> dict[str, object]:
    """What the search, the form and the tabs show of the filter."""
    queues = figures.queue_names()
    number = filters.whole_number(chosen.get("batch", ""))
    return {
        "chosen": chosen,
        "query": urlencode(chosen),
        "more": bool(set(chosen) - {"state", "queue", "batch"}),
        "search": typed or search(chosen, job_filters.JOBS),
        "suggestions": [f"state:{state}" for state in job_filters.STATES] + [f"queue:{name}" for name in queues],
        "queues": queues,
        "tabs": _tabs(chosen),
        "batch": batches.batch(number) if number else None,
    }


def _lines(page: job_lists.JobPage) -> list[Line]:
    places = {place.job: place for place in page.places}
    lines = []
    for row in page.rows:
        place = places[row.id]
        deeds = [deed for deed in offered(row.state) if not deed.why_not and not deed.opens]
        lines.append(Line(row, job_filters.write_place(place), _time(page, row, place), deeds))
    return lines


def _order(chosen: dict[str, str], page: job_lists.JobPage) -> str:
    if _failing(chosen):
        return "that have this error now: dead letters, latest death first, then what is tried again"
    in_batch = chosen.get("batch") and chosen.get("state") != "dead"
    return "in the order of the batch" if in_batch else ORDERS[page.ordered_by]


def _failing(chosen: dict[str, str]) -> bool:
    """Whether the list is of jobs that have an error now, not of all that ever had it."""
    return "error" in chosen and not {"batch", "state"} & set(chosen)


def _time(page: job_lists.JobPage, row: job_rows.JobRow, place: job_lists.Place) -> datetime | None:
    if page.ordered_by == "enqueued":
        return row.created_at
    if page.ordered_by == "due":
        return row.due_at
    # What is tried again, or was cancelled in a chunk that goes on, has not come to its end.
    goes_on = place.key == job_lists.UNENDED or (page.ordered_by == "died" and place.chunk)
    return None if goes_on else moment(place.key)


def _tabs(chosen: dict[str, str]) -> list[tuple[str, str]]:
    """Each state with the rest of the filter; what was not started before its parts."""
    rest = {name: value for name, value in chosen.items() if name != "state"}
    return [(state, urlencode({**({"state": state} if state else {}), **rest})) for state in ["", PENDING, *JobState]]


def _here(places: dict[str, job_lists.Place | None]) -> str:
    """Which page this is, as the page of a job carries it to lead back."""
    return next((f"{name}={job_filters.write_place(place)}" for name, place in places.items() if place), "")


def _top(page: job_lists.JobPage) -> str:
    return job_filters.key(page.places[0] if page.places else job_lists.Place(0, 0, 0))


def _ended(chosen: dict[str, str], page: job_lists.JobPage, read: Reading) -> bool:
    """Whether an empty console is empty because all jobs are in the archive."""
    if chosen or page.rows or page.stopped or read.problem or read.page is None:
        return False
    anything = archived_jobs.ArchivedQuery()
    found = limits.attempt(lambda: archived_jobs.archived_page(anything, size=1))
    return found is None or bool(found.rows)
