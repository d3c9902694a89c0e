"""What the archive holds, without reading all of it."""

from dataclasses import dataclass
from datetime import datetime

from queues import store
from queues.models import Queue

# Archived jobs of each queue that are read for the statistics, and the least where all queues share a number.
LOOKED_AT = 100_000
LOOKED_AT_EACH = 200


@dataclass(frozen=True, slots=True)
class ArchivedOutcome:
    """Archived jobs of one queue that ended in one way; where not `exact`, those among the oldest that were read."""

    queue: str
    outcome: str
    jobs: int
    bytes: int
    oldest: datetime
    newest: datetime
    exact: bool


@dataclass(frozen=True, slots=True)
class ArchivePartition:
    """One partition: the planner's estimate of its rows, and its bytes on disk with indexes."""

    number: int
    jobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ArchiveStatistics:
    """The archive by queue and outcome, of each queue at most the oldest `looked_at` jobs, and by partition."""

    outcomes: list[ArchivedOutcome]
    partitions: list[ArchivePartition]
    looked_at: int


def archive_statistics(within: int | None = None) -> ArchiveStatistics:
    """How many jobs and bytes, how old, of which queues and outcomes. Reads at most 100,000 rows of each
    queue, or about so many as `within` says of all of them."""
    limit = LOOKED_AT if within is None else max(LOOKED_AT_EACH, within // max(1, Queue.objects.count()))
    outcomes = [ArchivedOutcome(*row) for row in store.rows("archive_stats", limit=limit)]
    return ArchiveStatistics(outcomes, archive_partitions(), limit)


def archive_partitions() -> list[ArchivePartition]:
    """The partitions by number. Costs nothing: what the planner knows, and the sizes of files."""
    return [ArchivePartition(*row) for row in store.rows("archive_sizes")]
