"""Dead letters: the list and one job in full."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import filters, limits
from monitoring.permissions import viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.causes import filter_words, letters_filter, listing
from monitoring.views.page import show
from queues.selectors import batches, dead_letters, jobs

# Counting ends here; the list says "100,000+".
COUNTED = 100_000
# Letters whose causes are shown above the list; all have a page of their own.
CAUSES_OF = 5_000


@require_safe
@viewer_required
def dead_letter_list(request: HttpRequest) -> HttpResponse:
    """Jobs that wait for a person, the latest death first."""
    chosen = letters_filter(request)
    query = filters.dead_letter_query(chosen)
    before = filters.read_place(request.GET.get("before", ""))
    after = filters.read_place(request.GET.get("after", ""))
    found = limits.attempt(lambda: dead_letters.dead_letter_page(query, before=before, after=after))
    page = found or dead_letters.DeadLetterPage([], None, None)
    first = before is None and after is None
    context = {
        "nav": "dead-letters",
        "tab": "letters",
        "causes": listing(query, CAUSES_OF) if first and not query.fingerprint else None,
        "page": page,
        "slow": found is None,
        "newer": filters.write_place(page.newer) if page.newer else "",
        "older": filters.write_place(page.older) if page.older else "",
        "matching": limits.attempt(lambda: dead_letters.dead_letter_count(query, COUNTED + 1)),
        "counted": COUNTED,
        **filter_words(chosen),
        "batch": batches.batch(query.batch) if query.batch else None,
        "top": _top(page) if first else "",
    }
    wanted = [("dead-summary", "")]
    if first:
        wanted.append(("dead-news", urlencode(chosen)))
    return show(request, "monitoring/dead_letters.html", wanted, context)


@require_safe
@viewer_required
def dead_letter_detail(request: HttpRequest, job_id: int) -> HttpResponse:
    """One job: what went wrong, each time, and with what payload."""
    letter = dead_letters.dead_letter(job_id)
    if letter is None:
        raise Http404(f"job {job_id} is no dead letter: it was retried, deleted, or never died")
    same = dead_letters.DeadLetterQuery(fingerprint=letter.fingerprint)
    context = {
        "nav": "dead-letters",
        "letter": letter,
        "payload": jobs.payload(job_id),
        "attempts": jobs.attempts(job_id),
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
