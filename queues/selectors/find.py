"""Things by what people call them, and the counts beside the pages' names: small bounded look-ups for every page."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from queues.domain.states import BatchState
from queues.models import Batch, DeadLetter, Operation, Queue, Worker
from queues.selectors.counting import capped
from queues.selectors.dead_letters import DeadLetterRow, dead_letters_of, error_text
from queues.services import delete

# Dead letters in which a text is looked for; the list of causes looks in more.
LETTERS = 2_000
# Counting of each kind ends here.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class WorkerName:
    """A worker by which it is recognised."""

    id: UUID
    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are: batches that run, dead letters, operations in progress, paused queues; of each at most
    one more than `COUNTED`."""

    batches: int
    dead: int
    operations: int
    paused: int


def queues_named(text: str, limit: int) -> list[str]:
    """Queues with this text in their name."""
    rows = Queue.objects.filter(name__icontains=text).order_by("name")
    return list(rows.values_list("name", flat=True)[:limit])


def workers_named(text: str, limit: int) -> list[WorkerName]:
    """Workers with this text in name or host, or with this id; the last heard of first."""
    here = Q(name__icontains=text) | Q(host__icontains=text)
    with suppress(ValueError):
        here |= Q(pk=UUID(text))
    rows = Worker.objects.filter(here).order_by("-heartbeat_at", "pk")
    return [WorkerName(*row) for row in rows.values_list("pk", "name", "host")[:limit]]


def causes_with(text: str, limit: int) -> list[tuple[int, DeadLetterRow]]:
    """Causes with this fingerprint, or with this text in an error of the newest `LETTERS` dead letters: how many of
    those, and the newest of them. The most frequent first."""
    newest = DeadLetter.objects.order_by("-died_at", "-job_id").values_list("pk", flat=True)[:LETTERS]
    # By their keys: as a sub-select it would be joined with all letters, after reading the text of each.
    rows = DeadLetter.objects.filter(error_text(text), pk__in=list(newest))
    named = DeadLetter.objects.filter(fingerprint=text).order_by("-died_at").values_list("pk", flat=True)[:LETTERS]
    groups: Iterable[tuple[str, int, int]] = (
        (rows | DeadLetter.objects.filter(pk__in=list(named)))
        .exclude(fingerprint="")
        .order_by()
        .values_list("fingerprint")
        .annotate(count=Count("pk"), sample=Max("job_id"))
        .order_by("-count", "fingerprint")[:limit]
    )
    found = [(count, sample) for _, count, sample in groups]
    samples = {row.job_id: row for row in dead_letters_of(sample for _, sample in found)}
    return [(count, samples[sample]) for count, sample in found if sample in samples]


def counts() -> Counts:
    """Four counts, each of few rows of an index."""
    counted: tuple[QuerySet[Any], ...] = (
        Batch.objects.filter(state=BatchState.RUNNING, parent=None),
        DeadLetter.objects.all(),
        Operation.objects.filter(delete.not_waiting(timezone.now()), state="running"),
        Queue.objects.filter(paused_at__isnull=False),
    )
    return Counts(*capped(COUNTED + 1, *counted))
