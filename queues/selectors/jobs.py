"""One job: its payload as it was stored, and every try of it that went wrong."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast, Left, Length

from queues.models import Attempt, Job, Worker

# Characters of a payload and of a traceback that a page shows; the rest is offered as a file.
PAYLOAD_SHOWN = 64 * 1024
ATTEMPTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Payload:
    """The stored text, never parsed: a number keeps all its digits."""

    text: str
    length: int

    @property
    def whole(self) -> bool:
        """Whether `text` is all of it."""
        return len(self.text) >= self.length


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One failed or lost try."""

    number: int
    kind: str
    worker: str
    worker_id: UUID
    started_at: datetime | None
    finished_at: datetime
    error_class: str
    message: str
    traceback: str
    fingerprint: str
    run_id: int


def payload(job_id: int, limit: int | None = PAYLOAD_SHOWN) -> Payload | None:
    """The payload's text, cut at `limit` characters by the database."""
    text = Cast("payload", TextField())
    shown = text if limit is None else Left(text, limit)
    found = (
        Job.objects.filter(pk=job_id).annotate(text=shown, length=Length(text)).values_list("text", "length").first()
    )
    return Payload(*found) if found else None


def attempts(job_id: int) -> list[AttemptRow]:
    """The newest tries first."""
    names = ("number", "kind", "started_at", "finished_at", "error_class", "message", "traceback")
    found = list(
        Attempt.objects.filter(job_id=job_id)
        .order_by("-finished_at", "-number")
        .values("worker_id", "fingerprint", "run_id", *names)[:ATTEMPTS_SHOWN]
    )
    # Not by a join: the row of a worker that is long gone may have been purged.
    workers = dict(Worker.objects.filter(pk__in={row["worker_id"] for row in found}).values_list("pk", "name"))
    return [AttemptRow(worker=workers.get(row["worker_id"], ""), **row) for row in found]
