"""kill -9 in the middle of the work: nothing lost, nothing finished twice, and little done again."""

import random
import signal
import time
from collections.abc import Callable

import pytest

from queues.models import Attempt, Batch, Chunk, DeadLetter, Run
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Crew, Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# What is promised is 2 s; the rest is for reading the clock from outside.
PROMISED = 2.0 + 0.3


def kill_until(workers: Crew, done: Callable[[], bool], every: float, at_most: int) -> dict[int, float]:
    """Kill a worker now and then; when each was killed."""
    killed: dict[int, float] = {}
    while not done() and len(killed) < at_most:
        victims = [child for child in workers.children() if child.pid not in killed]
        if victims:
            victim = random.choice(victims)
            killed[victim.pid] = time.monotonic()
            victim.kill()
        pause = time.monotonic() + every
        wait_for(lambda until=pause: done() or time.monotonic() > until, every + 10)
    return killed


def assert_only_the_last_seconds_ran_again(trace: Trace, killed: dict[int, float]) -> None:
    """Every call that was not a job's last one was in a killed process, shortly before its end."""
    for job, calls in trace.repeated().items():
        for call in calls[:-1]:
            assert call.pid in killed, f"job {job} ran again though its worker lived"
            assert killed[call.pid] - call.at < PROMISED, (
                f"job {job} had ended {killed[call.pid] - call.at:.2f} s before"
            )


def test_workers_killed_again_and_again_lose_nothing(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=50)
    batches = [enqueue_batch("traced.slow", [1] * 1_500) for _ in range(2)]
    with crew(worker_env, trace, "traced", children=3) as workers:
        wait_for(trace.count, 20, "the first job")
        killed = kill_until(workers, lambda: all(ended(batch) for batch in batches), every=0.12, at_most=20)
        wait_for(lambda: all(ended(batch) for batch in batches), 60, "all batches to end")
        workers.stop()
    assert len(killed) >= 10
    assert set(trace.jobs()) == {j for b in batches for j in range(b.first_job_id, b.last_job_id + 1)}
    assert [(b.state, b.succeeded, b.dead, b.generation) for b in batches] == [("completed", 1_500, 0, 1)] * 2
    assert_only_the_last_seconds_ran_again(trace, killed)
    assert Run.objects.filter(state="lost").exists()
    assert not DeadLetter.objects.exists()
    assert_sound()


def test_of_one_chunk_of_1000_slow_jobs_only_the_last_seconds_run_again(
    worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=1_000)
    batch = enqueue_batch("traced.slow", [8] * 1_000)
    assert Chunk.objects.filter(batch=batch).count() == 1
    with crew(worker_env, trace, "traced", children=1) as workers:
        wait_for(lambda: trace.count() > 450, 30, "almost half of the jobs")
        killed = kill_until(workers, lambda: False, every=0, at_most=1)
        wait_for(lambda: ended(batch), 60, "the batch to end")
        workers.stop()
    again = trace.repeated()
    assert 0 < len(again) < 350
    assert_only_the_last_seconds_ran_again(trace, killed)
    assert (batch.state, batch.succeeded) == ("completed", 1_000)
    assert_sound()


def test_a_killed_worker_costs_its_jobs_no_attempt(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=100)
    batch = enqueue_batch("traced.slow", [20] * 100)
    with crew(worker_env, trace, "traced", children=1) as workers:
        wait_for(lambda: trace.count() > 5, 20, "some jobs")
        workers.children()[0].send_signal(signal.SIGKILL)
        wait_for(lambda: ended(batch), 30, "the batch to end")
        workers.stop()
    assert {line.attempt for line in trace.lines()} == {1}
    assert not Attempt.objects.exists()
    assert Chunk.objects.get(batch=batch).losses == 1
    assert Batch.objects.get().state == "completed"
