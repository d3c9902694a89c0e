"""The doctor on queues that stand still: a problem, or a warning that names the rule which explains it."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues.models import Chunk, Queue, QueueSlot, Run, Worker
from queues.services.counts import Problem
from queues.services.enqueue import enqueue_batch
from queues.services.stuck import check_stuck
from tests.queues.commanding import command
from tests.queues.working import do, leased, make_queue

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=10)


def _worker(**values: Any) -> Worker:
    facts = {"name": "w", "host": "h", "machine": "m", "pid": 1, "process_started": 0, "version": "1", "state": "ready"}
    return Worker.objects.create(id=uuid.uuid4(), **{**facts, **values})


def _waiting(jobs: int = 3, **policy: Any) -> Queue:
    queue = make_queue(chunk_size=1, **policy)
    enqueue_batch(do, [{}] * jobs)
    _age()
    return queue


def _age() -> None:
    Chunk.objects.update(created_at=timezone.now() - LONG_AGO, run_at=timezone.now() - LONG_AGO)


def _run(queue: Queue, worker: Worker, ago: timedelta) -> Run:
    now = timezone.now()
    lease = now + timedelta(seconds=10)
    return Run.objects.create(
        queue=queue, worker_id=worker.pk, started_at=now - ago, lease_until=lease, chunks=1, claimed=1
    )


def _only() -> Problem:
    found = [problem for problem in check_stuck() if problem.check in ("standstill", "workers")]
    assert len(found) == 1, found
    return found[0]


def test_a_free_worker_and_due_work_that_nobody_starts() -> None:
    _waiting()
    _worker()
    found = _only()
    assert (found.check, found.subject, found.warning) == ("standstill", "queue tested", False)
    assert "due for 10 minutes, and no run has begun meanwhile though a worker is free" in found.message
    assert "`manage.py work --queue tested`" in found.message
    answer = command("doctor")
    assert (answer.code, "standstill" in answer.out) == (1, True)


def test_a_run_in_the_last_minute_is_movement_an_older_one_is_not() -> None:
    queue = _waiting()
    worker, _free = _worker(), _worker()
    old = _run(queue, worker, timedelta(seconds=90))
    assert not _only().warning
    Run.objects.filter(pk=old.pk).update(started_at=timezone.now() - timedelta(seconds=30))
    assert check_stuck() == []


def test_work_that_has_not_waited_long_or_is_paused_is_no_standstill() -> None:
    queue = _waiting()
    _worker()
    Queue.objects.filter(pk=queue.pk).update(paused_at=timezone.now())
    assert check_stuck() == []
    Queue.objects.filter(pk=queue.pk).update(paused_at=None)
    Chunk.objects.update(created_at=timezone.now() - timedelta(seconds=30))
    assert check_stuck() == []


def test_workers_of_other_queues_do_not_count() -> None:
    _waiting()
    other = _worker(queues=["another"])
    assert _only().message == "work is due for 10 minutes, and no worker is alive that takes it"
    Worker.objects.filter(pk=other.pk).update(queues=["tested"])
    assert _only().check == "standstill"
    Worker.objects.filter(pk=other.pk).update(state="suspended")
    assert _only().message == "work is due for 10 minutes, and no worker is alive that takes it (1 suspended)"


def test_workers_that_are_all_busy_are_said_to_be() -> None:
    queue = _waiting()
    _run(queue, _worker(), LONG_AGO)
    found = _only()
    assert found.warning
    assert "all 1 workers are busy with longer runs" in found.message


def test_workers_that_are_all_busy_elsewhere_are_told_with_the_queue_that_has_them() -> None:
    _waiting()
    other = make_queue("bulk")
    for ago in (timedelta(minutes=4), timedelta(minutes=7)):
        _run(other, _worker(), ago)
    found = _only()
    assert (found.warning, found.message) == (
        True,
        "work is due for 10 minutes: all 2 workers are busy with queue bulk, the oldest of these runs for 7 minutes",
    )


def test_a_limit_of_runs_explains_it() -> None:
    queue = _waiting(max_runs=1)
    _worker()
    assert not _only().warning
    QueueSlot.objects.filter(queue=queue).update(run_id=_run(queue, _worker(), LONG_AGO).pk)
    found = _only()
    assert (found.warning, found.message) == (
        True,
        "work is due for 10 minutes and waits: its limit of 1 runs at once is reached",
    )


def test_a_rate_limit_in_debt_explains_it() -> None:
    queue = _waiting(rate_limit=0.5)
    _worker()
    Queue.objects.filter(pk=queue.pk).update(rate_tokens=-100, rate_filled_at=timezone.now())
    found = _only()
    assert found.warning
    assert found.message.endswith(("allows the next run in 200 s", "allows the next run in 199 s"))
    Queue.objects.filter(pk=queue.pk).update(rate_tokens=1)
    assert not _only().warning


def test_a_flush_rule_that_is_not_met_explains_it_and_a_claim_agrees() -> None:
    queue = _waiting(flush_jobs=5, flush_seconds=3_600)
    _worker()
    found = _only()
    assert found.warning
    assert found.message.endswith("its flush rule is not met yet (3 of 5 jobs, 600 of 3,600 s of waiting)")
    with pytest.raises(AssertionError), leased():
        pass
    enqueue_batch(do, [{}] * 2)
    _age()
    assert not _only().warning, "five jobs may start"
    Queue.objects.filter(pk=queue.pk).update(flush_jobs=6)
    assert _only().warning
    Queue.objects.filter(pk=queue.pk).update(flush_seconds=300)
    assert not _only().warning, "the oldest has waited long enough"
    Chunk.objects.filter(pk=Chunk.objects.order_by("pk")[0].pk).update(solo=True)
    Queue.objects.filter(pk=queue.pk).update(flush_seconds=None)
    assert not _only().warning, "a chunk that runs alone waits for no other"
