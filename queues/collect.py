"""What came of jobs: their kept results, one after another or collected, and the errors of those that failed."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import sleep
from typing import Any

from asgiref.sync import sync_to_async

from queues import store
from queues.models import Batch, Chunk, batch_id
from queues.selectors.id_pages import id_pages
from queues.waiting import Clock, Pauses, await_end, wait

# Jobs that are collected at once; `results` has no limit.
MOST_OF_A_BATCH = 100_000
MOST_IDS = 10_000


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """Why there is no value of a job that has ended.

    `kind` is dead, cancelled or deleted for a job that did not succeed; none kept, when its queue keeps no results;
    expired, when it kept one no longer; unknown, when there is no such job, or no more.
    """

    kind: str
    error_class: str = ""
    message: str = ""
    attempts: int = 0


@dataclass(slots=True)
class Collected:
    """Jobs by what came of them. A job that returned nothing has the value None."""

    values: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, ErrorFacts] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether every job has ended."""
        return not self.missing


def result_texts(batch: Batch | int) -> Iterator[tuple[int, str]]:
    """The kept results of a batch and its parts as JSON text, in the order of the jobs, page by page."""
    for lows, highs in id_pages(batch_id(batch)):
        yield from store.rows("result_page", lows=lows, highs=highs)


def results(batch: Batch | int) -> Iterator[tuple[int, Any]]:
    """The kept results of a batch and its parts: (job id, value) in the order of the jobs. Memory stays flat.

    As they are now: it does not wait, and leaves out what has failed, has expired or has returned nothing.
    """
    for job, text in result_texts(batch):
        yield job, json.loads(text)


def collect_results(of: Batch | Iterable[int], timeout: float | None = None) -> Collected:
    """Wait for the jobs of a batch, or for some jobs by id, and return what came of them.

    Up to `timeout` seconds; what has not ended by then is `missing`. A dead or cancelled job has ended: its error is
    there at once. A batch is waited for as a whole. Raises `ValueError` for more jobs than fit into memory.
    """
    if isinstance(of, Batch):
        _check_size(of)
        with suppress(TimeoutError):  # what is missing by then is said in the answer
            wait(of, timeout)
        return _of_batch(of.pk)
    collector, clock, pauses = _Collector(_ids(of)), Clock(timeout), Pauses()
    while not collector.look() and not clock.over:
        sleep(clock.left(pauses.take()))
    return collector.found


async def acollect_results(of: Batch | Iterable[int], timeout: float | None = None) -> Collected:
    """`collect_results` for an event loop, which goes on meanwhile."""
    if isinstance(of, Batch):
        _check_size(of)
        with suppress(TimeoutError):
            await await_end(of, timeout)
        return await sync_to_async(_of_batch, thread_sensitive=True)(of.pk)
    collector, clock, pauses = _Collector(_ids(of)), Clock(timeout), Pauses()
    look = sync_to_async(collector.look, thread_sensitive=True)
    while not await look() and not clock.over:
        await asyncio.sleep(clock.left(pauses.take()))
    return collector.found


def _check_size(batch: Batch) -> None:
    if batch.total > MOST_OF_A_BATCH:
        raise ValueError(f"{batch.total:,} jobs; at most {MOST_OF_A_BATCH:,} are collected at once: use results(batch)")


def _ids(of: Iterable[int]) -> list[int]:
    if isinstance(of, (int, str, bytes)) or not isinstance(of, Iterable):
        raise TypeError(f"a Batch or the ids of jobs are needed, not {type(of).__name__}")
    numbers = list(of)
    for place, number in enumerate(numbers):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
            raise ValueError(f"item {place}: the id of a job is needed, not {number!r:.60}")
    if len(numbers) > MOST_IDS:
        raise ValueError(f"{len(numbers):,} ids; at most {MOST_IDS:,} are collected at once")
    return numbers


class _Collector:
    """Asks for the jobs that have not ended when it last looked, all of them in one query."""

    def __init__(self, jobs: Iterable[int]) -> None:
        self.found = Collected(missing=set(jobs))

    def look(self) -> bool:
        """One look; whether every job has ended."""
        missing = sorted(self.found.missing)
        for row in store.rows("job_ends", jobs=missing) if missing else ():
            self._note(*row)
        return not self.found.missing

    def _note(
        self, job: int, state: str, value: str | None, lack: str, error_class: str, message: str, attempts: int
    ) -> None:
        self.found.missing.discard(job)
        if state != "succeeded":
            self.found.errors[job] = ErrorFacts(state, error_class, message, attempts)
        elif value is not None:
            self.found.values[job] = json.loads(value)
        elif lack:
            self.found.errors[job] = ErrorFacts(lack)
        else:
            self.found.values[job] = None


def _of_batch(batch: int) -> Collected:
    members = [batch, *Batch.objects.filter(parent=batch).values_list("pk", flat=True)]
    with_gaps = Chunk.objects.filter(batch__in=members, first_id__isnull=False, has_keys=True).exists()
    whole = Collected()
    for lows, highs in id_pages(batch):
        collector = _Collector(job for low, high in zip(lows, highs, strict=True) for job in range(low, high))
        collector.look()
        found = collector.found
        if with_gaps:  # ids of jobs that were left out, because somebody had their key
            found.errors = {job: error for job, error in found.errors.items() if error.kind != "unknown"}
        whole.values |= found.values
        whole.errors |= found.errors
        whole.missing |= found.missing
    return whole
