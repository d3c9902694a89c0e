"""What a page of jobs has found so far, how much it may look at, and the statement by which it looks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import connection

from queues import store
from queues.selectors.job_sources import JobQuery
from queues.selectors.job_walk import Place
from queues.selectors.payload_search import holds

# Rows of one step of the walk, growing while nothing is found; and what a page looks at before it stops.
STEPS = (100, 400, 1_000)
LOOK_ROWS = 20_000
LOOK_JOBS = 20_000
LOOK_SECONDS = 0.15
# Rows or jobs that a page looks at, however long that takes: a slow machine shows no shorter pages of a short list.
LOOK_LEAST = 1_000
LAST_ID = 2**63 - 1


@dataclass(slots=True)
class Look:
    """What a page has found and how much it has looked at."""

    wanted: int
    found: list[tuple[Place, str]] = field(default_factory=list)
    rows: int = 0
    jobs: int = 0
    last: Place | None = None
    began: float = field(default_factory=monotonic)

    @property
    def over(self) -> bool:
        """Whether it has looked at enough."""
        return self.rows >= LOOK_ROWS or self.jobs >= LOOK_JOBS or self.late

    @property
    def late(self) -> bool:
        """Whether it has looked for as long as a page may."""
        return max(self.rows, self.jobs) >= LOOK_LEAST and monotonic() - self.began > LOOK_SECONDS


def steps() -> Iterator[int]:
    """How many rows are read at once."""
    yield from STEPS
    while True:
        yield STEPS[-1]


def listed(query: JobQuery, limit: int, now: datetime, **values: Any) -> list[tuple[int, int, str]]:
    """Chunk, id and state of the jobs of some `chunks`, or of some `jobs` by their ids, that match."""
    usual = {"chunks": [], "jobs": [], "low": 0, "high": LAST_ID, "descending": False}
    wanted = {
        "states": query.states,
        "error": query.error,
        "holds": holds(*query.payload) if query.payload else [],
        "now": now,
        "limit": limit,
    }
    # So that a statement that took too long is the same error here as where Django has sent it.
    with connection.wrap_database_errors:
        return store.rows("job_list", **{**usual, **wanted, **values})
