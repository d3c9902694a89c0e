"""Consumers in processes of their own, one of which is killed in the middle of its lease."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from queues.models import Attempt, DeadLetter, Run, Worker
from queues.services import control, reap
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import PROJECT, Trace, crew, ended, other_connections, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def consumers(env: dict[str, str], trace: Trace, count: int, lease: float) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """So many consuming processes."""
    env = env | {"TRACE": str(trace.path), "BATCHCONSOLE_APPS": "tests.concurrency"}
    command = [sys.executable, "-m", "tests.concurrency.consumer", "traced", str(lease)]
    processes = [subprocess.Popen(command, cwd=PROJECT, env=env) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
        wait_for(lambda: not other_connections(), 10, "the consumers' connections to end")


def test_a_consumer_killed_in_mid_lease_loses_nothing(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=50)
    batch = enqueue_batch("traced.quick", range(2_000))
    # A lease far longer than the test: its end must not be waited for where the death can be seen.
    with consumers(worker_env, trace, 3, lease=600) as processes:
        wait_for(lambda: len({line.pid for line in trace.lines()}) == 3, 30, "all three")
        victim = processes[0]
        wait_for(lambda: Run.objects.filter(state="running", worker__pid=victim.pid, succeeded__gt=3), 20, "its lease")
        victim.kill()
        victim.wait()

        def over() -> bool:
            reap.reap()
            return ended(batch)

        wait_for(over, 60, "the batch to end")
        for process in processes[1:]:
            process.terminate()
            assert process.wait(15) == 0
    assert (batch.state, batch.succeeded, batch.dead) == ("completed", 2_000, 0)
    assert set(trace.jobs()) == set(range(batch.first_job_id, batch.last_job_id + 1))
    # At most the one job that had been worked on but not yet settled.
    again = trace.repeated()
    assert len(again) <= 1
    assert all(call.pid == victim.pid for calls in again.values() for call in calls[:-1])
    assert Run.objects.filter(state="lost").count() == 1
    assert not Attempt.objects.exists() and not DeadLetter.objects.exists()
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}
    assert_sound()


def test_a_consumer_s_process_that_is_told_to_stop_ends_by_itself(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=500)
    enqueue_batch("traced.quick", range(5_000))
    with consumers(worker_env, trace, 1, lease=60) as (process,):
        wait_for(trace.count, 30, "the first job")
        worker = Worker.objects.get(pid=process.pid)
        control.stop(worker=worker.pk, actor="me", source="api")
        assert process.wait(10) == 0
    worker.refresh_from_db()
    assert (worker.state, worker.processed) == ("stopped", trace.count())
    assert not Run.objects.filter(state="running").exists()
    assert set(trace.jobs().values()) == {1}
    assert_sound()


def test_a_stopped_worker_is_replaced_by_its_parent(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=100)
    batch = enqueue_batch("traced.slow", [10] * 600)
    with crew(worker_env, trace, "traced", children=2) as crowd:
        wait_for(lambda: len({line.pid for line in trace.lines()}) == 2, 20, "both workers")
        first = Worker.objects.earliest("started_at")
        control.stop(worker=first.pk, actor="me", source="api")
        wait_for(lambda: Worker.objects.filter(pk=first.pk, state="stopped"), 5, "its end")
        wait_for(lambda: ended(batch), 60, "the batch to end")
        assert len(crowd.children()) == 2
        crowd.stop()
    assert batch.succeeded == 600
    assert set(trace.jobs().values()) == {1}
    assert Worker.objects.count() == 3
    assert_sound()


def test_a_frozen_worker_s_runs_are_reclaimed_and_it_cannot_settle_them(
    worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=50)
    batch = enqueue_batch("traced.quick", range(500))
    with consumers(worker_env, trace, 1, lease=600) as (process,):
        wait_for(trace.count, 30, "the first job")
        worker = Worker.objects.get(pid=process.pid)

        def reclaimed() -> bool:
            """Frozen in the middle of a commit its run is locked, and is left to it: nobody waits."""
            os.kill(process.pid, signal.SIGSTOP)
            if control.reclaim(worker=worker.pk, force=True, actor="me", source="api").runs:
                return True
            os.kill(process.pid, signal.SIGCONT)
            return False

        wait_for(reclaimed, 10, "its run")
        settled = trace.count()
        os.kill(process.pid, signal.SIGCONT)
        wait_for(lambda: ended(batch), 30, "the batch to end")
    assert batch.succeeded == 500
    assert Run.objects.filter(state="lost").count() == 1
    assert settled >= 1 and len(trace.repeated()) <= 1
    assert_sound()
