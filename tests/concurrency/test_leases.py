"""A worker that is stopped past its lease and goes on: what it then says changes nothing."""

import signal

import psutil
import pytest

from queues.models import Batch, Chunk, Run, Worker
from queues.services import workers
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_late_settle_changes_nothing_and_is_counted(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=60)
    batch = enqueue_batch("traced.slow", [20] * 60)
    with crew(worker_env, trace, "traced", children=2, lease_seconds=1) as crowd:
        wait_for(lambda: trace.count() > 5, 20, "some jobs")
        asleep = psutil.Process(trace.lines()[0].pid)
        asleep.send_signal(signal.SIGSTOP)
        # Another process of the same machine does the rest: one that is asleep does not count as dead.
        wait_for(lambda: ended(batch), 30, "the other worker to end the batch")
        before = list(Chunk.objects.values()), list(Batch.objects.values())
        lost = Run.objects.get(state="lost")
        assert lost.late == 0
        asleep.send_signal(signal.SIGCONT)
        wait_for(lambda: Run.objects.get(pk=lost.pk).late, 20, "the late result to be counted")
        assert (list(Chunk.objects.values()), list(Batch.objects.values())) == before
        crowd.stop()
    lost.refresh_from_db()
    mine = [line for line in trace.lines() if line.pid == asleep.pid]
    assert lost.late == len(mine)
    assert Worker.objects.get(pk=lost.worker_id).late == lost.late
    assert (batch.state, batch.succeeded, batch.generation) == ("completed", 60, 1)
    assert_sound()


def test_a_stopped_worker_ends_its_run_early_when_it_learns_that_it_is_late(
    worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=400)
    batch = enqueue_batch("traced.slow", [20] * 400)
    with crew(worker_env, trace, "traced", children=2, lease_seconds=1) as crowd:
        wait_for(lambda: trace.count() > 5, 20, "some jobs")
        asleep = psutil.Process(trace.lines()[0].pid)
        asleep.send_signal(signal.SIGSTOP)
        wait_for(lambda: Run.objects.filter(state="lost").exists(), 20, "the lease to be lost")
        asleep.send_signal(signal.SIGCONT)
        wait_for(lambda: Run.objects.filter(late__gt=0).exists(), 20, "the late result to be counted")
        assert sum(line.pid == asleep.pid for line in trace.lines()) < 250
        wait_for(lambda: ended(batch), 40, "the batch to end")
        crowd.stop()
    assert (batch.state, batch.succeeded) == ("completed", 400)
    assert_sound()


def test_a_long_job_keeps_its_short_lease(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue()
    batch = enqueue_batch("traced.slow", [4_000])
    with crew(worker_env, trace, "traced", children=2, lease_seconds=2) as crowd:
        wait_for(lambda: ended(batch), 30, "the batch to end")
        crowd.stop()
    assert (trace.count(), Run.objects.get().state) == (1, "done")


def test_a_dead_process_is_told_from_a_living_one() -> None:
    me = workers.identify()
    assert workers._alive(me.pid, me.process_started)
    assert not workers._alive(me.pid, me.process_started - 100)
    assert not workers._alive(2**22 + 1, 0.0)
