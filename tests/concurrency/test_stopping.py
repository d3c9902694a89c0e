"""Graceful stops, timeouts that nothing can interrupt, and batches that stop while they run."""

import signal
import time

import pytest

from queues.models import Attempt, Batch, Chunk, DeadLetter, Run, Worker
from queues.services.cancel import cancel_batch
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_that_is_told_to_stop_ends_its_job_and_gives_back_the_rest(
    worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=500)
    batch = enqueue_batch("traced.slow", [20] * 1_000)
    with crew(worker_env, trace, "traced", children=2) as crowd:
        wait_for(lambda: len({line.pid for line in trace.lines()}) == 2, 20, "both workers")
        asked = time.monotonic()
        crowd.stop(10)
        assert time.monotonic() - asked < 5
    batch.refresh_from_db()
    done = trace.count()
    assert 0 < done < 1_000
    chunks = Chunk.objects.filter(batch=batch)
    assert {(c.state, c.losses, c.solo, c.tries) for c in chunks} == {("ready", 0, False, 0)}
    assert sum(c.succeeded for c in chunks) == done
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}
    assert sum(Worker.objects.values_list("processed", flat=True)) == done
    assert not Attempt.objects.exists()
    assert_sound()
    with crew(worker_env, trace, "traced", children=1) as crowd:
        wait_for(lambda: trace.count() > done, 20, "the work to go on")
        crowd.stop(10)
    assert set(trace.jobs().values()) == {1}
    assert_sound()


@pytest.mark.parametrize("how", ["cancel", "fail fast"])
def test_running_work_stops_within_two_seconds(worker_env: dict[str, str], trace: Trace, how: str) -> None:
    traced_queue(chunk_size=200, max_attempts=1)
    payloads: list[object] = [20] * 600
    if how == "fail fast":
        payloads[450] = "no number"  # the 51st job of the third chunk
    batch = enqueue_batch("traced.slow", payloads, failure_mode="fail_fast" if how == "fail fast" else "continue")
    with crew(worker_env, trace, "traced", children=3) as crowd:
        wait_for(lambda: len({line.pid for line in trace.lines()}) == 3, 20, "all three workers")
        if how == "cancel":
            cancel_batch(batch_id=batch.pk, actor="me", source="api")
        stopped = wait_for(lambda: Batch.objects.exclude(stop_reason="").exists() and time.monotonic(), 20, "the stop")
        wait_for(lambda: ended(batch), 20, "the batch to end")
        crowd.stop()
    assert max(line.at for line in trace.lines()) - stopped < 2.3
    assert batch.succeeded == trace.count()
    if how == "cancel":
        assert (batch.state, batch.cancelled) == ("cancelled", 600 - trace.count())
    else:
        assert (batch.state, batch.dead) == ("failed", 1)
    assert not Chunk.objects.filter(state__in=["ready", "leased", "held"]).exists()
    assert_sound()


def test_a_job_that_nothing_can_interrupt_takes_its_process_with_it(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=10, timeout=0.5, max_attempts=1)
    batch = enqueue_batch("traced.blocks", [n == 4 for n in range(10)])
    with crew(worker_env, trace, "traced", children=1) as crowd:
        wait_for(lambda: ended(batch), 40, "the batch to end")
        crowd.stop()
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.error_class) == (batch.first_job_id + 4, "Timeout")
    assert Attempt.objects.get().kind == "timeout"
    assert (batch.succeeded, batch.dead) == (9, 1)
    assert set(trace.jobs().values()) == {1}
    assert not Run.objects.filter(state="lost").exists()
    assert Worker.objects.count() == 2
    assert_sound()


def test_a_second_signal_ends_a_worker_at_once_and_nothing_is_lost(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=10)
    batch = enqueue_batch("traced.slow", [50, 60_000, *[1] * 8])
    with crew(worker_env, trace, "traced", children=1) as crowd:
        wait_for(trace.count, 20, "the first job")
        (child,) = crowd.children()
        child.send_signal(signal.SIGTERM)
        wait_for(lambda: not child.is_running() or child.send_signal(signal.SIGTERM), 10, "its end")
    with crew(worker_env, trace, "traced", children=1):
        wait_for(lambda: Run.objects.filter(state="lost").exists(), 20, "the run to be taken back")
    assert not Attempt.objects.exists()
    batch.refresh_from_db()
    assert batch.state == "running"
    assert_sound()
