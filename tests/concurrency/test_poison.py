"""Jobs that kill their process: each is found and named, and no neighbour is blamed."""

import pytest

from queues.models import Attempt, DeadLetter, Job
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_20_killers_hidden_in_10_000_jobs_are_found(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=200, max_attempts=1)
    killers = {n * 487 + 13 for n in range(20)}
    batch = enqueue_batch("traced.some_kill", ["kill" if n in killers else n for n in range(10_000)])
    with crew(worker_env, trace, "traced", children=2) as workers:
        wait_for(lambda: ended(batch), 90, "the batch to end")
        workers.stop()
    assert (batch.state, batch.total, batch.succeeded, batch.dead) == ("partial", 10_000, 9_980, 20)
    letters = DeadLetter.objects.filter(batch=batch)
    assert set(letters.values_list("reason", flat=True)) == {"worker lost"}
    dead = set(letters.values_list("job_id", flat=True))
    assert set(Job.objects.filter(pk__in=dead).values_list("payload", flat=True)) == {'"kill"'}
    assert dead == {batch.first_job_id + n for n in killers}
    attempts = Attempt.objects.values_list("job_id", "kind")
    assert {job for job, _ in attempts} == dead and {kind for _, kind in attempts} == {"lost"}
    assert set(trace.jobs()) == set(range(batch.first_job_id, batch.last_job_id + 1)) - dead
    assert Job.objects.filter(failures__gt=0).count() == 20
    assert_sound()


def test_a_killer_gets_all_its_attempts_and_its_neighbours_none(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=20, max_attempts=3)
    batch = enqueue_batch("traced.some_kill", ["kill" if n == 7 else n for n in range(40)])
    with crew(worker_env, trace, "traced", children=1) as workers:
        wait_for(lambda: ended(batch), 40, "the batch to end")
        workers.stop()
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.attempts, letter.reason) == (batch.first_job_id + 7, 3, "worker lost")
    assert (batch.succeeded, batch.dead) == (39, 1)
    assert list(Attempt.objects.order_by("number").values_list("number", "kind")) == [
        (1, "lost"),
        (2, "lost"),
        (3, "lost"),
    ]
    assert_sound()


def test_a_killer_within_calls_of_many_jobs_is_found_by_halves(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=64, max_attempts=1)
    batch = enqueue_batch("traced.some_kill_whole", ["kill" if n in (17, 100) else n for n in range(192)])
    with crew(worker_env, trace, "traced", children=2) as workers:
        wait_for(lambda: ended(batch), 60, "the batch to end")
        workers.stop()
    dead = DeadLetter.objects.values_list("job_id", "reason")
    assert set(dead) == {(batch.first_job_id + n, "worker lost") for n in (17, 100)}
    assert (batch.succeeded, batch.dead) == (190, 2)
    assert Attempt.objects.count() == 2
    assert_sound()
