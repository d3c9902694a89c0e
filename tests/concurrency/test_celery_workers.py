"""Real Celery workers with the broker of files."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from django.db import transaction

from batchconsole.celery import CONTROL, WORK
from queues.models import Attempt, Chunk, DeadLetter, Worker
from queues.services import announce, reap
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, ended, other_connections, traced_queue
from tests.house.processes import python, running
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _left_alone(transactional_db: None) -> Iterator[None]:
    yield
    wait_for(lambda: not other_connections(), 10, "the workers' connections to end")


@contextmanager
def celery(
    env: dict[str, str], trace: Trace, log: Path, *queues: str, pool: tuple[str, ...] = ("-c", "2")
) -> Iterator["Popen[str]"]:
    """A Celery worker, ready."""
    env = env | {"BATCHCONSOLE_APPS": "tests.concurrency", "TRACE": str(trace.path)}
    arguments = ["-m", "celery", "-A", "batchconsole.celery", "worker", "-l", "INFO", "-Q", ",".join(queues)]
    arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat", *pool]
    with running(python(*arguments), env, output=log) as process:
        wait_for(lambda: "ready." in log.read_text(), 60, "the worker")
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()


def test_hints_wake_a_prefork_worker_and_each_job_runs_once(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    traced_queue(chunk_size=50)
    with celery(worker_env, trace, tmp_path / "log", WORK) as process:
        with transaction.atomic():
            batch = enqueue_batch("traced.quick", range(5_000))
        single = enqueue("traced.slow", 0)
        wait_for(lambda: ended(batch) and announce.drive() is not None, 40, "the batch to end")
        wait_for(lambda: single in trace.jobs() or announce.drive() > 99, 20, "the single job")
        process.terminate()
        assert process.wait(15) == 0
    assert (batch.state, batch.succeeded) == ("completed", 5_000)
    assert batch.queued_at is not None
    assert set(trace.jobs().values()) == {1} and trace.count() == 5_001
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}
    assert_sound()


def test_killers_in_a_prefork_pool_are_found(worker_env: dict[str, str], trace: Trace, tmp_path: Path) -> None:
    traced_queue(chunk_size=50, max_attempts=1)
    payloads = ["kill" if n in (70, 333) else n for n in range(500)]
    with celery(worker_env, trace, tmp_path / "log", WORK):
        batch = enqueue_batch("traced.some_kill", payloads)

        def over() -> bool:  # what beat and the control worker do
            reap.reap()
            announce.drive()
            return ended(batch)

        wait_for(over, 60, "the batch to end")
    assert (batch.succeeded, batch.dead) == (498, 2)
    assert set(DeadLetter.objects.values_list("job_id", "reason")) == {
        (batch.first_job_id + n, "worker lost") for n in (70, 333)
    }
    assert set(trace.jobs()) == set(range(batch.first_job_id, batch.last_job_id + 1)) - {
        batch.first_job_id + n for n in (70, 333)
    }
    assert_sound()


def test_a_stopped_pool_gives_back_what_it_holds_and_costs_no_attempt(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    traced_queue(chunk_size=400)
    batch = enqueue_batch("traced.slow", [20] * 800)
    with celery(worker_env, trace, tmp_path / "log", WORK) as process:
        announce.drive()
        wait_for(lambda: trace.count() > 5, 30, "some jobs")
        process.terminate()
        assert process.wait(15) == 0
    batch.refresh_from_db()
    assert batch.state == "running"
    assert set(Chunk.objects.values_list("state", flat=True)) == {"ready"}
    assert not Attempt.objects.exists()
    assert sum(Chunk.objects.values_list("succeeded", flat=True)) == trace.count()
    assert not Chunk.objects.filter(losses__gt=0).exists()
    assert_sound()


def test_a_cold_stop_gives_the_job_in_hand_back_and_costs_no_attempt(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    traced_queue(chunk_size=10, max_attempts=1)
    batch = enqueue_batch("traced.slow", [1] * 5 + [60_000] * 5)
    with celery(worker_env, trace, tmp_path / "log", WORK) as process:
        announce.drive()
        wait_for(lambda: trace.count() == 5, 30, "the quick jobs")
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
    batch.refresh_from_db()
    assert (batch.state, trace.count()) == ("running", 5)
    assert not Attempt.objects.exists() and not DeadLetter.objects.exists()
    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.succeeded, chunk.losses, chunk.solo) == ("ready", 5, 0, False)
    assert_sound()


def test_a_control_worker_without_beat_finds_lost_work_by_itself(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    traced_queue(chunk_size=10)
    batch = enqueue_batch("traced.quick", range(100))
    with (
        celery(worker_env, trace, tmp_path / "work", WORK),
        celery(worker_env, trace, tmp_path / "control", CONTROL, pool=("-P", "solo")),
    ):
        wait_for(lambda: ended(batch), 40, "the batch to end without a ring")
    assert batch.succeeded == 100
    assert_sound()
