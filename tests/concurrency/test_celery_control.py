"""Children of a Celery pool that are told from outside to wait or to stop."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batchconsole.celery import WORK
from queues.models import Attempt, Run, Worker
from queues.services import announce, control
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, ended, other_connections, traced_queue
from tests.concurrency.test_celery_workers import celery
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
WHO = {"actor": "me", "source": "api"}


@pytest.fixture(autouse=True)
def _left_alone(transactional_db: None) -> Iterator[None]:
    yield
    wait_for(lambda: not other_connections(), 10, "the workers' connections to end")


def both_at_work(trace: Trace) -> bool:
    """Whether both children work; hints are sent as beat would."""
    announce.drive()
    return len({line.pid for line in trace.lines()}) == 2


def test_a_suspended_child_starves_nobody_and_goes_on_when_resumed(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    traced_queue(chunk_size=10)
    batch = enqueue_batch("traced.slow", [10] * 1_000)
    with celery(worker_env, trace, tmp_path / "log", WORK) as process:
        wait_for(lambda: both_at_work(trace), 30, "both children")
        waits = Worker.objects.earliest("started_at")
        control.suspend(worker=waits.pk, **WHO)
        wait_for(lambda: Worker.objects.filter(pk=waits.pk, state="suspended"), 5, "its state")
        # The keeper says so at once; what the child holds is given back after the job in hand.
        wait_for(lambda: not Run.objects.filter(worker=waits.pk, state="running").exists(), 5, "its run to end")
        runs = Run.objects.filter(worker=waits.pk).count()
        # No ring from here on: a hint that the suspended child kept would be the last.
        wait_for(lambda: ended(batch), 60, "the batch to end")
        assert Run.objects.filter(worker=waits.pk).count() == runs, "it has claimed nothing more"
        control.resume(worker=waits.pk, **WHO)
        wait_for(lambda: Worker.objects.filter(pk=waits.pk, state="polling"), 5, "it to go on")
        later = enqueue_batch("traced.slow", [10] * 400)
        wait_for(lambda: announce.drive() > 99 or ended(later), 60, "the second batch")
        assert Run.objects.filter(worker=waits.pk).count() > runs
        process.terminate()
        assert process.wait(15) == 0
    assert (batch.succeeded, later.succeeded) == (1_000, 400)
    assert set(trace.jobs().values()) == {1}
    assert not Attempt.objects.exists()
    assert_sound()


def test_children_that_have_had_no_work_are_known_and_can_be_stopped(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with celery(worker_env, trace, log, WORK) as process:
        wait_for(lambda: Worker.objects.exclude(state="stopped").count() == 2, 20, "both children to be known")
        stopped = Worker.objects.earliest("started_at")
        child = psutil.Process(stopped.pid)
        control.stop(worker=stopped.pk, **WHO)
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "its process to end")
        wait_for(lambda: Worker.objects.exclude(pk=stopped.pk).count() == 2, 20, "another child")
        process.terminate()
        assert process.wait(15) == 0
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}
    assert Worker.objects.count() == 3
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("busy", [True, False])
def test_a_stopped_child_ends_and_the_pool_starts_another(
    worker_env: dict[str, str], trace: Trace, tmp_path: Path, busy: bool
) -> None:
    traced_queue(chunk_size=50)
    batch = enqueue_batch("traced.slow", [20 if busy else 5] * 400)
    log = tmp_path / "log"
    with celery(worker_env, trace, log, WORK) as process:
        wait_for(lambda: both_at_work(trace), 30, "both children")
        if not busy:
            wait_for(lambda: ended(batch), 60, "the batch to end")
        stopped = Worker.objects.earliest("started_at")
        child = psutil.Process(stopped.pid)
        control.stop(worker=stopped.pk, **WHO)
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "its process to end")
        wait_for(lambda: Worker.objects.filter(pk=stopped.pk, state="stopped"), 5, "its row to say so")
        wait_for(lambda: announce.drive() > 99 or ended(batch), 60, "the batch to end")
        wait_for(lambda: len(psutil.Process(process.pid).children()) == 2, 10, "another child")
        process.terminate()
        assert process.wait(15) == 0
    assert batch.succeeded == 400
    assert set(trace.jobs().values()) == {1}
    assert not Attempt.objects.exists() and not Run.objects.filter(state="lost").exists()
    assert "Traceback" not in log.read_text()
    assert_sound()
