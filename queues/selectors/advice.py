"""How long the jobs of a queue have taken lately, and what size of run that speaks for."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median

from queues import handlers
from queues.domain.advice import Advice, ChunkAdvice, recommend, recommend_chunk
from queues.domain.states import RunState
from queues.models import Queue, Run

# Runs that are looked at: the last ones.
RUNS = 200


@dataclass(frozen=True, slots=True)
class HandlerAdvice:
    """What the last runs of one handler on a queue say. Times of one job in milliseconds, of a run in seconds.

    `whole`: it gets all jobs of a run at once, and nothing is settled before the end.
    """

    handler: str
    runs: int
    jobs: int
    job_ms: float
    p50_ms: float | None  # None where the handler gets all jobs at once
    jobs_a_run: float
    seconds_a_run: float
    lanes: int
    advice: Advice
    chunk: ChunkAdvice
    whole: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    handler: str
    jobs: int
    seconds: float
    p50_ms: float | None


def advise(queue: Queue) -> list[HandlerAdvice]:
    """Advice for each handler whose jobs ran lately, those with the most runs first; none when there were no runs."""
    found: dict[str, list[_Taken]] = {}
    for run in _recent(queue):
        found.setdefault(run.handler, []).append(run)
    return [_advice(queue, handler, runs) for handler, runs in sorted(found.items(), key=lambda item: -len(item[1]))]


def _recent(queue: Queue) -> Iterable[_Taken]:
    fields = ("handler", "state", "careful", "succeeded", "failed", "started_at", "finished_at", "p50_ms")
    # Sorted out here and not in the query, so that this reads no more than so many rows of the index.
    for handler, state, careful, succeeded, failed, started, finished, p50 in (
        Run.objects.filter(queue=queue, finished_at__isnull=False).order_by("-finished_at").values_list(*fields)[:RUNS]
    ):
        jobs = succeeded + failed
        if state == RunState.DONE and jobs and not careful and finished is not None:
            yield _Taken(handler, jobs, max((finished - started).total_seconds(), 0.0), p50)


def _advice(queue: Queue, handler: str, runs: list[_Taken]) -> HandlerAdvice:
    known = {found.name: found for found in handlers.known()}.get(handler)
    whole = bool(known and known.whole)
    lanes = 1 if whole else queue.concurrency
    jobs, seconds = sum(run.jobs for run in runs), sum(run.seconds for run in runs)
    each = seconds * lanes / jobs
    p50s = [run.p50_ms for run in runs if run.p50_ms is not None]
    best = recommend(each, lanes=lanes, target=queue.run_target)
    return HandlerAdvice(
        handler,
        len(runs),
        jobs,
        each * 1000,
        median(p50s) if p50s and not whole else None,
        mean(run.jobs for run in runs),
        mean(run.seconds for run in runs),
        lanes,
        best,
        recommend_chunk(each, _aim(queue, best), lanes=lanes),
        whole,
    )


def _aim(queue: Queue, best: Advice) -> int:
    """How many jobs runs of this queue come to aim at: within its bounds, and all it may where it collects."""
    collects = any(rule is not None for rule in (queue.flush_jobs, queue.flush_bytes, queue.flush_seconds))
    return queue.run_size if collects else min(best.size, queue.run_size)


def in_words(one: HandlerAdvice) -> str:
    """One line for a page."""
    best = one.advice
    return (
        f"{one.handler}: {one.job_ms:,.1f} ms a job ({best.kind}), so runs of {best.least}-{best.most} jobs; "
        f"{best.size:,} take about {best.run_seconds:,.1f} s"
    )


def chunk_in_words(one: HandlerAdvice) -> str:
    """What to cut a batch into, as a sentence."""
    chunk = one.chunk
    takes = f"a run takes {chunk.a_run:,} of them, about {chunk.run_seconds:,.1f} s"
    # What has ended is settled every two seconds; a job that takes longer begins anew.
    settled = "at most 2 s in any case" if one.job_ms <= 2_000 else "only the jobs in hand"
    repeats = "the whole run" if one.whole else settled
    return f"Chunks of {chunk.size:,}: {takes}; a crash repeats {repeats}."
