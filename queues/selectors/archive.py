"""What the archive holds, without reading all of it."""

from dataclasses import dataclass
from datetime import datetime

from queues import store

# Archived jobs of each queue that are read for the statistics.
LOOKED_AT = 100_000


@dataclass(frozen=True, slots=True)
class ArchivedOutcome:
    """Archived jobs of one queue that ended in one way; where not `exact`, those among the oldest 100,000."""

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
    """The archive by queue and outcome, and by partition."""

    outcomes: list[ArchivedOutcome]
    partitions: list[ArchivePartition]


def archive_statistics() -> ArchiveStatistics:
    """How many jobs and bytes, how old, of which queues and outcomes. Reads at most 100,000 rows of each queue."""
    return ArchiveStatistics(
        [ArchivedOutcome(*row) for row in store.rows("archive_stats", limit=LOOKED_AT)],
        archive_partitions(),
    )


def archive_partitions() -> list[ArchivePartition]:
    """The partitions by number. Costs nothing: what the planner knows, and the sizes of files."""
    return [ArchivePartition(*row) for row in store.rows("archive_sizes")]
