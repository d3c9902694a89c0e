"""The archive: what it holds and keeps, a dry run of what goes next, and bringing jobs back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import acting, filters, limits
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.act import act
from monitoring.views.confirm import Question, ask, back, mistyped, who
from monitoring.views.page import show
from queues.domain.operating import Action
from queues.selectors import archive as figures_of_archive
from queues.selectors import archived_jobs, clock, upkeep

NOTHING = "Select archived jobs first."
# Of those that were picked, the first are named in words.
NAMED = 10
# Archived jobs that are read to say what there is.
COUNTED = 60_000


@require_safe
@viewer_required
def archive_sizes(request: HttpRequest) -> HttpResponse:
    """What the archive holds by queue, outcome and partition, what each queue keeps, and what would go next."""
    from queues.services import archive, purge

    statistics = limits.attempt(lambda: figures_of_archive.archive_statistics(within=COUNTED))
    dry: dict[str, Any] = {
        "due": limits.attempt(archive.due_by_outcome),
        "over": limits.attempt(purge.purge_due_by_outcome),
        "dropped": limits.attempt(purge.partitions_due),
    }
    partitions = statistics.partitions if statistics else limits.attempt(figures_of_archive.archive_partitions)
    sizes = {partition.number: partition for partition in partitions or []}
    drops = [sizes[number] for number in dry["dropped"] or [] if number in sizes]
    sources = upkeep.retention_sources()
    context = {
        "nav": "archive",
        "statistics": statistics,
        "looked_at": statistics.looked_at if statistics else 0,
        "partitions": partitions,
        "retentions": [(line, sources.get(line.queue, "")) for line in archived_jobs.retentions()],
        "runs": limits.attempt(upkeep.last_runs),
        "next": upkeep.next_runs(clock.database_now()),
        "over_jobs": (over := sum(line["jobs"] for line in dry["over"] or [])),
        "over_bytes": _about(over, partitions or []),
        "counted": purge.COUNTED,
        "drops": drops,
        "drop_jobs": sum(partition.jobs for partition in drops),
        "drop_bytes": sum(partition.bytes for partition in drops),
        **dry,
    }
    return show(request, "monitoring/archive_sizes.html", [], context, snapshot=Snapshot())


def _about(jobs: int, partitions: list[figures_of_archive.ArchivePartition]) -> int:
    """The room that so many archived jobs take on disk, as they do on the average."""
    known = sum(partition.jobs for partition in partitions)
    return sum(partition.bytes for partition in partitions) * jobs // known if known > 0 else 0


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def restore(request: HttpRequest) -> HttpResponse:
    """Ask, then let archived jobs run again: at once those that were picked, as an operation all that match."""
    values = request.POST if request.method == "POST" else request.GET
    try:
        picked = acting.picked(values)
    except filters.Unclear as unclear:
        messages.error(request, f"{unclear} Nothing was changed.")
        return redirect(back(request, "archive"))
    if picked:
        return _restore_picked(request, picked)
    if values.get("all"):
        return act(request, Action.UNARCHIVE, otherwise="archive", nothing=NOTHING)
    messages.info(request, NOTHING)
    return redirect(back(request, "archive"))


def _restore_picked(request: HttpRequest, picked: list[int]) -> HttpResponse:
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
    except archive.RestoreRefused as refused:
        messages.error(request, f"Nothing was restored: {refused}.")
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
        which=f"archived {things} {', '.join(map(str, here[:NAMED]))}{' and more' if len(here) > NAMED else ''}",
        command=f"python manage.py archive restore {' '.join(map(str, here))}",
    )
