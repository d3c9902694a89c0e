"""Where the jobs of a batch were born: ranges of ids, which stay true wherever the jobs have gone since."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, Sum

from queues.models import Batch, Chunk


def leaves(batch_id: int) -> Iterator[tuple[int, int | None]]:
    """The batches that hold the jobs, in the order of these, with their last job: itself, or the parts of a parent."""
    rows = Batch.objects.filter(parent=batch_id).order_by("first_job_id", "pk").values_list("pk", "last_job_id")
    after = 0
    if not Batch.objects.filter(pk=batch_id, is_parent=True).exists():
        found = Batch.objects.filter(pk=batch_id).values_list("pk", "last_job_id")
        yield from found
        return
    # A page at a time: a parent may have many parts.
    while page := list(rows[after : after + 1_000]):
        yield from page
        after += len(page)


@dataclass(frozen=True, slots=True)
class Span:
    """The first and the last job of some batches; `alone` where no other batch has jobs in between."""

    first: int
    last: int
    alone: bool


def span(batches: Collection[int]) -> Span | None:
    """Between which numbers the jobs of batches, or of their parts, were born; None for those without jobs."""
    whole = Batch.objects.filter(pk__in=batches, is_parent=False).aggregate(
        first=Min("first_job_id"), last=Max("last_job_id"), jobs=Sum("total")
    )
    if whole["first"] is None:
        return None
    return Span(whole["first"], whole["last"], whole["jobs"] == whole["last"] - whole["first"] + 1)


def birth_ranges(batch_id: int) -> list[tuple[int, int]]:
    """The ids [low, high) of one batch without parts, in order. A batch that was enqueued at once has few of them.

    One row is read for each chunk that was cut at enqueue, at most 10,000.
    """
    chunks = Chunk.objects.filter(batch=batch_id, first_id__isnull=False)
    rows: Iterable[tuple[Any, Any]] = chunks.values_list("first_id", "span")
    ranges: list[tuple[int, int]] = []
    for low, span in sorted(rows):
        if ranges and low <= ranges[-1][1]:
            # With unique keys the ranges of chunks of different priorities may overlap.
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], low + span))
        else:
            ranges.append((low, low + span))
    return ranges
