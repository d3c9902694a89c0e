"""The archive: what it holds and keeps, a dry run of what goes next, and bringing jobs back."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import limits
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.act import act
from monitoring.views.page import show
from queues.domain.operating import Action
from queues.selectors import archive as figures_of_archive
from queues.selectors import archived_jobs, clock, upkeep

NOTHING = "Select archived jobs first."
# Lines of a table; seconds that counting what is past its retention may take in all.
MOST_LINES, PATIENCE = 200, 1.0
# Archived jobs that are read to say what there is.
COUNTED = 60_000


@require_safe
@viewer_required
def archive_sizes(request: HttpRequest) -> HttpResponse:
    """What the archive holds by queue, outcome and partition, what each queue keeps, and what would go next."""
    from queues.services import archive, purge

    statistics = limits.attempt(lambda: figures_of_archive.archive_statistics(within=COUNTED))
    over, whole = limits.attempt(lambda: purge.purge_due_by_outcome(PATIENCE)) or (None, True)
    dry: dict[str, Any] = {
        "due": limits.attempt(archive.due_by_outcome),
        "over": over,
        "over_whole": whole,
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
        "over_jobs": (over_jobs := sum(line["jobs"] for line in over or [])),
        "over_bytes": _about(over_jobs, partitions or []),
        # Queues, or outcomes of queues, that each table shows.
        "most": MOST_LINES,
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
    """Ask, then let archived jobs run again, those that were picked or all that match."""
    return act(request, Action.UNARCHIVE, otherwise="archive", nothing=NOTHING)
