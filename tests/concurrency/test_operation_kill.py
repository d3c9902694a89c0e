"""An operation whose worker is killed again and again: nothing is done twice, nothing is left out."""

import signal
import subprocess
import sys
from functools import partial

import pytest

from queues.models import ArchivedJob, DeadLetter, Job, JobKey, Operation, OperationItem, TrashedJob
from queues.services import operate
from queues.services.archive import archive
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import PROJECT, other_connections
from tests.queues.working import drain, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def marked(operation: Operation) -> int:
    """Jobs that a round has got over."""
    return OperationItem.objects.filter(operation=operation).exclude(outcome="").count()


def worked_on(operation: Operation, process: "subprocess.Popen[bytes]", before: int) -> bool:
    """Whether the process has done a round, or is over."""
    return marked(operation) > before or process.poll() is not None


def killed_rounds(env: dict[str, str], operation: Operation, kills: int) -> int:
    """Let processes work on an operation and kill each of them after its first rounds; how many were killed at work."""
    at_work = 0
    for _ in range(kills):
        before = marked(operation)
        process = subprocess.Popen([sys.executable, "-m", "tests.concurrency.operator_process"], cwd=PROJECT, env=env)
        wait_for(partial(worked_on, operation, process, before), 30, "a round")
        if process.poll() is None:
            at_work += 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not other_connections(), 10, "its connection to end")
        assert_sound()
    return at_work


@pytest.mark.parametrize("action", ["delete", "retry"])
def test_killed_in_the_middle_of_its_rounds(action: str, worker_env: dict[str, str]) -> None:
    make_queue(max_attempts=1, chunk_size=100)
    enqueue_batch("tested.do", [{"die": n} for n in range(3_000)], key=lambda payload: str(payload["die"]))
    drain()
    operation = operate.start(action=action, selection={"queue": "tested"}, actor="ann", source="api")
    assert (operation.state, operation.total) == ("running", 3_000)
    assert killed_rounds(worker_env, operation, 3) >= 2
    operation.refresh_from_db()
    half = operation.changed
    assert 0 < half < 3_000
    assert OperationItem.objects.exclude(outcome="").count() == half == 3_000 - DeadLetter.objects.count()
    while operate.advance_all():
        pass
    operation.refresh_from_db()
    assert (operation.state, operation.changed, operation.skipped) == ("done", 3_000, 0)
    assert DeadLetter.objects.count() == 0
    assert TrashedJob.objects.count() == (3_000 if action == "delete" else 0)
    assert JobKey.objects.count() == (0 if action == "delete" else 3_000)
    assert_sound()


def test_undone_while_a_worker_is_at_it(worker_env: dict[str, str]) -> None:
    make_queue(max_attempts=1, chunk_size=100)
    enqueue_batch("tested.do", [{"die": n} for n in range(3_000)], key=lambda payload: str(payload["die"]))
    drain()
    before = list(DeadLetter.objects.order_by("pk").values())
    operation = operate.start(action="delete", selection={"queue": "tested"}, actor="ann", source="api")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.concurrency.operator_process"], cwd=PROJECT, env=worker_env
    )
    wait_for(partial(worked_on, operation, process, 0), 30, "a round")
    back = operate.undo(operation_id=operation.pk, actor="bob", source="page")
    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert 0 < operation.changed < 3_000
    assert back.total == operation.changed == marked(operation)
    # The worker itself goes on with the undoing, beside this process.
    while operate.advance_all():
        pass
    process.wait(60)
    back.refresh_from_db()
    assert (back.state, back.outcomes) == ("done", {"restored": operation.changed})
    assert TrashedJob.objects.count() == 0
    assert list(DeadLetter.objects.order_by("pk").values()) == before
    assert JobKey.objects.count() == 3_000
    assert_sound()


def test_archived_jobs_are_restored_by_workers_that_are_killed(worker_env: dict[str, str]) -> None:
    make_queue(chunk_size=100)
    batch = enqueue_batch("tested.do", [{}] * 2_000)
    drain()
    assert archive() == 2_000
    operation = operate.start(action="unarchive", selection={"batch": batch.pk}, actor="ann", source="api")
    assert (operation.state, operation.total) == ("running", 2_000)
    assert killed_rounds(worker_env, operation, 2) >= 1
    operation.refresh_from_db()
    half = operation.changed
    assert 0 < half < 2_000
    assert (Job.objects.count(), ArchivedJob.objects.count()) == (half, 2_000 - half)
    while operate.advance_all():
        pass
    operation.refresh_from_db()
    assert (operation.state, operation.outcomes) == ("done", {"restored": 2_000})
    assert (Job.objects.count(), ArchivedJob.objects.count()) == (2_000, 0)
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 2_000)
