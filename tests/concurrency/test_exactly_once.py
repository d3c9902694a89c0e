"""Many jobs, several workers: every job runs once, and none is lost."""

from collections import Counter

import pytest

from queues.models import Chunk, Run
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_20_000_jobs_across_four_workers_each_run_once(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=100)
    batches = [enqueue_batch("traced.quick", range(5_000)) for _ in range(4)]
    with crew(worker_env, trace, "traced", children=4) as workers:
        wait_for(lambda: all(ended(batch) for batch in batches), 60, "all batches to end")
        workers.stop()
    jobs = trace.jobs()
    assert set(jobs.values()) == {1}
    expected = {job for batch in batches for job in range(batch.first_job_id, batch.last_job_id + 1)}
    assert set(jobs) == expected and len(expected) == 20_000
    assert [(b.state, b.total, b.succeeded, b.dead) for b in batches] == [("completed", 5_000, 5_000, 0)] * 4
    assert len({line.pid for line in trace.lines()}) > 1
    assert Counter(Chunk.objects.values_list("state", flat=True)) == {"done": 200}
    assert sum(Run.objects.values_list("succeeded", flat=True)) == 20_000
    assert_sound()


def test_jobs_that_fail_once_run_twice_and_the_others_once(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=50)
    batch = enqueue_batch("traced.fails_once", ["fail" if n % 20 == 0 else "" for n in range(4_000)])
    with crew(worker_env, trace, "traced", children=3) as workers:
        wait_for(lambda: ended(batch), 60, "the batch to end")
        workers.stop()
    assert Counter(trace.jobs().values()) == {1: 3_800, 2: 200}
    assert (batch.state, batch.succeeded) == ("completed", 4_000)
    assert_sound()
