"""Whether what is counted is what is there: the invariants of chunks, batches, jobs and keys.

Every page is one statement, hence one snapshot: running work, whose transactions keep the invariants, raises
no false alarm. Nothing is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from queues import store
from queues.domain.soundness import BatchFacts, ChunkFacts, batch_flaws, chunk_flaws

CHUNKS = 500
BATCHES = 200
JOBS = 20_000
# One broken thing may break a million others: a person needs the first ones.
MOST_PROBLEMS = 1_000

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be. `check` groups, `subject` names the row."""

    check: str
    subject: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.message}"


def check_counts(*, progress: Progress | None = None) -> list[Problem]:
    """Compare every chunk, batch, job, dead letter, deleted job, unique key and slot with what it stands for.

    At most 1,000 problems are named. Reads everything once, in bounded pages: minutes on many millions.
    `progress` is told the table and the last id after each page.
    """
    report = progress or (lambda _table, _last: None)
    found: list[Problem] = []
    for check in (_chunks, _batches, _jobs, _dead_letters, _trash, check_keys):
        for problem in check(report):
            found.append(problem)
            if len(found) >= MOST_PROBLEMS:
                return found
    return [*found, *check_slots()]


def _chunks(report: Progress) -> Iterator[Problem]:
    after = 0
    while page := store.rows("check_chunks", after=after, limit=CHUNKS):
        for row in page:
            chunk = ChunkFacts(*row)
            subject = f"chunk {chunk.id}" + (f" of batch {chunk.batch_id}" if chunk.batch_id else "")
            for flaw in chunk_flaws(chunk):
                yield Problem("counts", subject, flaw)
        after = page[-1][0]
        report("chunks", after)


def _batches(report: Progress) -> Iterator[Problem]:
    after = 0
    while page := store.rows("check_batches", after=after, limit=BATCHES):
        for row in page:
            batch = BatchFacts(*row)
            for flaw in batch_flaws(batch):
                yield Problem("counts", f"batch {batch.id}", flaw)
        after = page[-1][0]
        report("batches", after)


def _jobs(report: Progress) -> Iterator[Problem]:
    after = 0
    while (found := store.row("check_jobs", after=after, limit=JOBS)) and found[0] is not None:
        after, flaws = found
        for job, flaw in flaws:
            yield Problem("counts", f"job {job}", flaw)
        report("jobs", after)


def _dead_letters(report: Progress) -> Iterator[Problem]:
    after = 0
    while (found := store.row("check_dead", after=after, limit=JOBS)) and found[0] is not None:
        after, jobs = found
        for job in jobs:
            yield Problem("counts", f"dead letter {job}", "its job is not parked as dead")
        report("dead letters", after)


def _trash(report: Progress) -> Iterator[Problem]:
    after = 0
    while (found := store.row("check_trash", after=after, limit=JOBS)) and found[0] is not None:
        after, jobs = found
        for job in jobs:
            yield Problem("counts", f"deleted job {job}", "it is not parked in the trash")
        report("deleted jobs", after)


def check_keys(report: Progress = lambda _table, _last: None) -> Iterator[Problem]:
    """Unique keys whose job has ended: nobody would ever free them."""
    after = 0
    while (found := store.row("check_keys", after=after, limit=JOBS)) and found[0] is not None:
        after, keys = found
        for key, job in keys:
            yield Problem("keys", f"key {key!r}", f"its job {job} has ended")
        report("keys", after)


def check_slots() -> Iterator[Problem]:
    """Places of limited queues that are held by runs that have ended."""
    for queue, number, run, state in store.rows("check_slots"):
        yield Problem("slots", f"slot {number} of queue {queue}", f"held by run {run}, which is {state}")
