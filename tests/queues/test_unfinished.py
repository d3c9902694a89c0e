"""Why a batch is not finished, asked of real ones."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from queues.domain.unfinished import Answer, WayOut
from queues.models import Batch, Chunk, Run, Worker
from queues.selectors.clock import database_now
from queues.services import pause
from queues.services.batch_pause import pause_batch
from queues.services.cancel import cancel_batch
from queues.services.enqueue import enqueue_batch, seal
from queues.services.unfinished import why
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db
WHO = {"actor": "ann", "source": "test"}


def ask(batch: Batch) -> Answer:
    found = why(batch_id=batch.pk, now=database_now())
    assert found is not None
    return found


def worker(*queues: str) -> Worker:
    return Worker.objects.create(
        id=uuid.uuid4(), name="w-1", host="h", machine="m", pid=1, process_started=0.0, version="1",
        queues=list(queues), state="ready",
    )  # fmt: skip


def test_an_ended_batch_has_no_answer() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    drain()
    assert why(batch_id=batch.pk, now=database_now()) is None
    assert why(batch_id=99, now=database_now()) is None


def test_open_then_sealed() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1, 2], open=True)
    assert (ask(batch).kind, ask(batch).way_out) == ("open", WayOut.SEAL)
    seal(batch)
    assert ask(batch).kind == "workers"


def test_paused_batch_and_paused_queue() -> None:
    make_queue()
    worker()
    batch = enqueue_batch("tested.do", [1, 2])
    pause.pause_queue(name="tested", reason="full", **WHO)
    assert (ask(batch).kind, ask(batch).subject) == ("queue paused", "tested")
    assert "by ann" in ask(batch).text and "(full); 2 jobs are waiting" in ask(batch).text
    pause_batch(batch_id=batch.pk, reason="prices", **WHO)
    assert ask(batch).kind == "paused"
    assert ask(batch).text.endswith("(prices); 2 jobs are held.")


def test_a_part_is_held_by_the_pause_of_its_parent() -> None:
    make_queue(chunk_size=10_000)
    batch = enqueue_batch("tested.do", ({} for _ in range(10_001)), split=True)
    pause_batch(batch_id=batch.pk, **WHO)
    assert ask(batch).text.endswith("; 10,001 jobs are held.")
    assert ask(batch.parts.get(part=2)).text.endswith("; 1 job is held.")


def test_a_stage_names_the_batch_before_it() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1], name="load")
    second = enqueue_batch("tested.do", [2], after=[first])
    assert ask(second).text == f"It waits for stage 1: batch {first.pk} “load”."
    assert ask(second).subject == str(first.pk)


def test_scheduled_and_retrying_tell_when() -> None:
    make_queue(max_attempts=3, backoff_base=60.0)
    later = timezone.now() + timedelta(days=2)
    batch = enqueue_batch("tested.do", [1, 2], run_at=later)
    assert ask(batch).text == f"2 jobs are scheduled, the next for {later:%Y-%m-%d %H:%M:%S} UTC."
    failing = enqueue_batch("tested.do", [{"fail": 1}, {"die": 1}])
    drain(runs=1)
    assert ask(failing).kind == "retrying"
    assert ask(failing).beside == "Its 1 dead letter does not hold it: it waits for a person."


def test_without_a_worker_that_takes_the_queue() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    worker("another")
    assert (ask(batch).kind, ask(batch).way_out) == ("workers", WayOut.SEE_WORKERS)
    worker("tested")
    Batch.objects.update(queued_at=timezone.now())
    assert ask(batch).kind == "waiting"


def test_all_workers_busy_with_another_queue_are_named_not_said_to_work_on_it() -> None:
    make_queue()
    bulk = make_queue("bulk")
    batch = enqueue_batch("tested.do", [1, 2])
    now, minute = timezone.now(), timedelta(minutes=1)
    facts = {"started_at": now - 3 * minute, "lease_until": now + minute, "chunks": 1, "claimed": 1}
    Run.objects.create(queue=bulk, worker_id=worker().pk, **facts)
    found = ask(batch)
    assert (found.kind, found.way_out) == ("elsewhere", WayOut.SEE_WORKERS)
    assert found.text == (
        "2 jobs are waiting for a worker in queue tested. Due work waits: the only worker that takes it is busy with "
        "queue bulk, for 3 minutes."
    )


def test_a_batch_that_the_broker_was_not_told_of() -> None:
    queue = make_queue()
    worker()
    batch = enqueue_batch("tested.do", [1])
    assert ask(batch).kind == "hand-over"
    type(queue).objects.update(hint_failures=3, hint_error="OperationalError: refused")
    assert "told of it yet: OperationalError: refused; it is told again" in ask(batch).text


def test_suspended_workers_are_named_when_they_would_take_it() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    other, asleep = worker("another"), worker("tested")
    Worker.objects.update(state="suspended")
    found = ask(batch)
    assert (found.kind, found.way_out, found.subject) == ("suspended", WayOut.RESUME_WORKER, str(asleep.pk))
    Worker.objects.filter(pk=asleep.pk).update(queues=["another"])
    assert ask(batch).kind == "workers"
    assert other.pk


def test_a_worker_that_has_fallen_silent_before_its_lease_ends() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    with leased() as run:
        silent = worker()
        Worker.objects.filter(pk=silent.pk).update(
            id=run.claim.worker_id, heartbeat_at=timezone.now() - timedelta(seconds=20)
        )
        found = ask(batch)
        assert (found.kind, found.way_out, found.subject) == ("silent", WayOut.RECLAIM, str(run.claim.worker_id))
        assert "Worker w-1 has not been heard of since" in found.text


def test_a_limit_that_is_reached() -> None:
    make_queue(max_runs=1, chunk_size=1)
    worker()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1])
    with leased(want=1):
        assert ask(first).kind == "running"
        found = ask(second)
        assert found.kind == "limit" and "its limit of 1 runs at once is reached" in found.text


def test_running_and_stopping() -> None:
    make_queue(chunk_size=1)
    batch = enqueue_batch("tested.do", [1])
    with leased() as run:
        Worker.objects.filter(pk=run.claim.worker_id).delete()
        assert ask(batch).kind == "running"
        cancel_batch(batch_id=batch.pk, **WHO)
        assert ask(batch).kind == "stopping"
        assert "somebody has cancelled it: 1 job is still running" in ask(batch).text


def test_a_batch_whose_end_was_missed() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    Chunk.objects.update(state="done", succeeded=1, finished_at=timezone.now())
    assert ask(batch).kind == "ending"
