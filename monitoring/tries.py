"""The failed tries of a job as a page shows them: how long each took, what is new in it, what can be folded away."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest

from queues.domain import frames
from queues.selectors.jobs import AttemptRow


@dataclass(frozen=True, slots=True)
class Try:
    """One failed try. `same_as` is the number of the try before it, where that ended with the very same error."""

    row: AttemptRow
    lasted: timedelta | None
    same_as: int | None
    pieces: list[frames.Piece]

    @property
    def label(self) -> str:
        """What a screen reader calls its traceback."""
        return f"Traceback of try {self.row.number}"


def tries(attempts: list[AttemptRow]) -> list[Try]:
    """Attempts, the newest first, for the template."""
    return [_shown(row, before) for row, before in zip_longest(attempts, attempts[1:])]


def _shown(row: AttemptRow, before: AttemptRow | None) -> Try:
    # The worker's clock told when it began, the database's when it was written down.
    lasted = max(timedelta(), row.finished_at - row.started_at) if row.started_at else None
    same = before is not None and (row.error_class, row.message) == (before.error_class, before.message)
    return Try(row, lasted, before.number if before is not None and same else None, frames.pieces(row.traceback))
