"""kill -9 while batches follow each other: every stage runs once, with all that the one before it has left."""

import random

import pytest

from queues.models import Batch, BatchLink, DeadLetter, Job
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.concurrency.test_kill import kill_until
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = 600


def rows_of(batch: Batch) -> list[int]:
    """The payloads, in the order of the jobs."""
    return [int(text) for text in Job.objects.filter(batch=batch).order_by("pk").values_list("payload", flat=True)]


def test_a_chain_of_stages_and_a_pipeline_survive_their_workers(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=20, keep_results=3600, max_attempts=100, archive_after=3600)
    random.seed(7)
    batches = [enqueue_batch("traced.doubled", range(JOBS), then="traced.doubled")]
    for _ in range(6):
        batches.append(enqueue_batch("traced.doubled", range(JOBS), after=batches[-1:], then="traced.doubled"))
    sinks = [enqueue_batch("traced.slow", [1] * 20, after=[batch]) for batch in batches]

    def done() -> bool:
        steps = Batch.objects.filter(metadata__has_key="step_after")
        return (
            all(ended(batch) for batch in [*batches, *sinks])
            and steps.count() == len(batches)
            and not steps.filter(state="running").exists()
        )

    with crew(worker_env, trace, "traced", children=3) as workers:
        wait_for(trace.count, 20, "the first job")
        killed = kill_until(workers, done, every=0.1, at_most=40)
        wait_for(done, 90, "all batches to end")
        workers.stop()
    assert len(killed) >= 10
    assert {(b.state, b.generation) for b in Batch.objects.all()} == {("completed", 1)}
    for batch in batches:
        (step,) = Batch.objects.filter(metadata={"step_after": batch.pk})
        assert BatchLink.objects.filter(before=batch, after=step).count() == 1
        assert rows_of(step) == [2 * n for n in range(JOBS)]
    starts = {b.pk: (b.started_at, b.finished_at) for b in Batch.objects.all()}
    for before, after in BatchLink.objects.values_list("before_id", "after_id"):
        assert starts[before][1] <= starts[after][0]
    assert not DeadLetter.objects.exists()
    assert_sound()
