"""The archive: a search, what it holds and keeps, a dry run of what goes next, and bringing jobs back."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters, job_filters, limits
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, back, mistyped, who
from monitoring.views.page import show
from queues.selectors import archive as figures_of_archive
from queues.selectors import archived_jobs, batches, figures
from queues.selectors.job_walk import TooWide

MOST_PICKED = 500
NOTHING = archived_jobs.ArchivedPage([], None, None)
T = TypeVar("T")


@require_safe
@viewer_required
def archive_list(request: HttpRequest) -> HttpResponse:
    """Archived jobs under a filter, the latest end first."""
    if number := filters.whole_number(filters.storable(request.GET.get("id", ""))):
        return redirect("job", job_id=number)
    chosen = job_filters.archive_chosen(request.GET)
    before = job_filters.read_archived_place(request.GET.get("before", ""))
    after = job_filters.read_archived_place(request.GET.get("after", ""))
    try:
        query = job_filters.archived_query(chosen)
        found = limits.attempt(lambda: archived_jobs.archived_page(query, before=before, after=after))
        total = limits.attempt(lambda: archived_jobs.archived_total(query))
        problem = ""
    except (job_filters.Unclear, TooWide) as error:
        query, found, total, problem = archived_jobs.ArchivedQuery(), NOTHING, None, str(error)
    page = found or NOTHING
    partitions = _patiently(figures_of_archive.archive_partitions) or []
    context = {
        "nav": "archive",
        "page": page,
        "slow": found is None,
        "problem": problem,
        "total": total,
        "counted": archived_jobs.COUNTED,
        "chosen": chosen,
        "query": urlencode(chosen),
        "within": job_filters.WITHIN,
        "chosen_within": chosen.get("within") or ("all" if query.batch else job_filters.USUALLY_WITHIN),
        "outcomes": job_filters.OUTCOMES,
        "queues": figures.queue_names(),
        "batch": batches.batch(query.batch) if query.batch else None,
        "jobs": sum(partition.jobs for partition in partitions),
        "bytes": sum(partition.bytes for partition in partitions),
        "newer": job_filters.write_archived_place(page.newer),
        "older": job_filters.write_archived_place(page.older),
    }
    return show(request, "monitoring/archive.html", [], context, snapshot=Snapshot())


@require_safe
@viewer_required
def archive_sizes(request: HttpRequest) -> HttpResponse:
    """What the archive holds by queue, outcome and partition, what each queue keeps, and what would go next."""
    from queues.services import archive, purge

    statistics = _patiently(figures_of_archive.archive_statistics)
    dry: dict[str, Any] = {
        "due": _patiently(archive.due_by_outcome),
        "over": _patiently(purge.purge_due_by_outcome),
        "dropped": _patiently(purge.partitions_due),
    }
    partitions = statistics.partitions if statistics else _patiently(figures_of_archive.archive_partitions)
    sizes = {partition.number: partition for partition in partitions or []}
    drops = [sizes[number] for number in dry["dropped"] or [] if number in sizes]
    context = {
        "nav": "archive",
        "statistics": statistics,
        "looked_at": figures_of_archive.LOOKED_AT,
        "partitions": partitions,
        "retentions": archived_jobs.retentions(),
        "counted": purge.COUNTED,
        "drops": drops,
        "drop_jobs": sum(partition.jobs for partition in drops),
        "drop_bytes": sum(partition.bytes for partition in drops),
        **dry,
    }
    return show(request, "monitoring/archive_sizes.html", [], context, snapshot=Snapshot())


@require_http_methods(["GET", "POST"])
@operator_required
def restore(request: HttpRequest) -> HttpResponse:
    """Ask, then let archived jobs run again."""
    values = request.POST if request.method == "POST" else request.GET
    picked = sorted({number for text in values.getlist("job")[:MOST_PICKED] if (number := filters.whole_number(text))})
    if not picked:
        messages.info(request, "Select archived jobs first.")
        return redirect(back(request, "archive"))
    here = [row.id for row in archived_jobs.archived_rows(picked)]
    question = _question(here, len(picked) - len(here))
    if request.method != "POST":
        return ask(request, question)
    if not here:
        messages.warning(request, "Nothing was restored: none of these jobs is in the archive.")
        return redirect(back(request, "archive"))
    if error := mistyped(request, question):
        return ask(request, question, error)
    from queues.services import archive

    try:
        done = archive.restore(job_ids=here, **who(request))
    except archive.RestoreRefused as error:
        messages.error(request, f"Nothing was restored: {error}.")
    else:
        messages.success(request, f"{done.jobs:,} restored: they wait to run.")
    return redirect(back(request, "archive"))


def _question(here: list[int], gone: int) -> Question:
    things = "job" if len(here) == 1 else "jobs"
    left = f" {gone:,} are not in the archive and are left out." if gone else ""
    return Question(
        title=f"Restore {len(here):,} archived {things}?",
        verb=f"Restore {len(here):,} {things}",
        count=len(here),
        consequence=(
            "They leave the archive and run again as new, also those that had succeeded. Their batches run again until "
            f"they have ended once more.{left}"
        ),
        dangerous=True,
        fields=[("job", str(number)) for number in here],
    )


def _patiently(read: Callable[[], T]) -> T | None:
    """What is read, or None where it took too long; statements that Django has not sent fail alike."""

    def inner() -> T:
        with connection.wrap_database_errors:
            return read()

    return limits.attempt(inner)
