"""Dead letters: the list and one job in full."""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import filters, limits, rows
from monitoring.job_offers import Everything, offered
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.tries import tries
from monitoring.views.causes import filter_words
from monitoring.views.list_search import asked
from monitoring.views.page import show
from queues.domain.states import JobState
from queues.selectors import batches, dead_letters, jobs
from queues.selectors.job_totals import Total

# Counting ends here; the list says "100,000+".
COUNTED = 100_000
NOTHING = dead_letters.DeadLetterPage([], None, None)


@require_safe
@viewer_required
def dead_letter_list(request: HttpRequest) -> HttpResponse:
    """Jobs that wait for a person, the latest death first."""
    chosen = filters.letters(request.GET)
    typed = asked(request, chosen, filters.LETTERS, letters=True)
    if isinstance(typed, HttpResponse):
        return typed
    problem = typed.problem if typed else filters.flaw(chosen)
    places = {name: filters.read_place(request.GET.get(name, "")) for name in ("before", "after")}
    first = not any(places.values())
    read = {"page": NOTHING} if problem else _read(chosen, places)
    context = {
        "nav": "dead-letters",
        "tab": "letters",
        "problem": problem,
        "everything": Everything({"state": JobState.DEAD.value, **chosen}),
        "deeds": [deed for deed in offered(JobState.DEAD) if not deed.why_not],
        "paged": not first,
        **read,
        **filter_words(chosen, typed),
    }
    wanted = [("dead-summary", "")]
    if first and not problem:
        wanted.append(("dead-news", urlencode(chosen)))
        if read["page"].rows and "cause" not in chosen:
            wanted.append(("letter-causes", urlencode(chosen)))
    wanted += rows.watched("letter", [letter.job_id for letter in read["page"].rows])
    return show(request, "monitoring/dead_letters.html", wanted, context)


def _read(chosen: dict[str, str], places: dict[str, dead_letters.Place | None]) -> dict[str, Any]:
    """What the list shows of the letters under its filter."""
    query = filters.dead_letter_query(chosen)
    found = limits.attempt(lambda: dead_letters.dead_letter_page(query, **places))
    page = found or NOTHING
    first = not any(places.values())
    return {
        "page": page,
        "slow": found is None,
        "total": _total(query),
        "batch": batches.batch(query.batch) if query.batch else None,
        "newer": filters.write_place(page.newer) if page.newer else "",
        "older": filters.write_place(page.older) if page.older else "",
        "top": _top(page) if first else "",
    }


def _total(query: dead_letters.DeadLetterQuery) -> Total | None:
    found = limits.attempt(lambda: dead_letters.dead_letter_count(query, COUNTED + 1))
    return None if found is None else Total(min(found, COUNTED), found <= COUNTED)


@require_safe
@viewer_required
def dead_letter_detail(request: HttpRequest, job_id: int) -> HttpResponse:
    """One job: what went wrong, each time, and with what payload."""
    letter = dead_letters.dead_letter(job_id)
    if letter is None:
        raise Http404(f"job {job_id} is no dead letter: it was retried, deleted, or never died")
    same = dead_letters.DeadLetterQuery(fingerprint=letter.fingerprint)
    attempts = jobs.attempts(job_id)
    context = {
        "nav": "dead-letters",
        "letter": letter,
        "payload": jobs.payload(job_id),
        "attempts": attempts,
        "tries": tries(attempts),
        "same_cause": limits.attempt(lambda: dead_letters.dead_letter_count(same, COUNTED)),
    }
    return show(request, "monitoring/dead_letter.html", [], context, snapshot=Snapshot())


@require_safe
@viewer_required
def dead_letter_payload(request: HttpRequest, job_id: int) -> HttpResponse:
    """The whole payload as it was stored, as a file."""
    found = jobs.payload(job_id, limit=None) if dead_letters.dead_letter(job_id) else None
    if found is None:
        raise Http404(f"job {job_id} is no dead letter")
    headers = {"Content-Disposition": f'attachment; filename="job-{job_id}.json"'}
    return HttpResponse(found.text, content_type="application/json", headers=headers)


def _top(page: dead_letters.DeadLetterPage) -> str:
    if not page.rows:
        return filters.dead_letter_key(dead_letters.Place(filters.EPOCH, 0))
    return filters.dead_letter_key(dead_letters.Place(page.rows[0].died_at, page.rows[0].job_id))
