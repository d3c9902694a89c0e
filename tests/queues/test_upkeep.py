"""Archive and purge as they are rung: slice after slice, until nothing is left, in the way of nobody."""

import threading
from time import monotonic

import pytest
from celery import Task
from django.conf import settings

from batchconsole.broker import empty_broker
from batchconsole.celery import CONTROL, app
from queues import bells, foreground, shutdown, tasks
from queues.models import ArchivedJob, Attempt, Chunk, Job, Run, Worker
from queues.services import archive, purge, upkeep
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db
EXPIRES = "2100-01-01T00:00:00+00:00"


def _ring(task: Task) -> bool:
    """Do the task as the worker does whose message expires then."""
    task.push_request(expires=EXPIRES)
    try:
        return bool(task.run())
    finally:
        task.pop_request()


def _waiting_rings() -> list[tuple[str, str]]:
    with app.connection_for_write() as connection:
        queue, found = app.amqp.queues[CONTROL](connection.default_channel), []
        queue.declare()
        while message := queue.get(no_ack=True):
            found.append((message.headers["task"], message.headers["expires"]))
        return found


def test_a_ring_that_leaves_something_rings_again_with_its_own_end(monkeypatch: pytest.MonkeyPatch) -> None:
    empty_broker(settings.HOME)
    monkeypatch.setattr(upkeep, "SLICE", 0.0)
    monkeypatch.setattr(archive, "JOBS", 15)
    make_queue(chunk_size=10)
    enqueue_batch(do, [{}] * 50)
    drain()
    moved = []
    while _ring(tasks.archive):
        moved.append(ArchivedJob.objects.count())
        assert _waiting_rings() == [("queues.tasks.archive", EXPIRES)]
    assert moved == [20, 40, 50]
    assert _waiting_rings() == []
    assert Job.objects.count() == 0
    assert_sound()


def test_a_broker_that_is_away_ends_the_chain_and_not_the_ring(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "archive", lambda: True)

    def away(*_: object, **__: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(tasks.archive, "apply_async", away)
    assert not _ring(tasks.archive)
    assert "queues.tasks.archive could not be rung again: gone" in caplog.text


def test_a_slice_of_purging_ends_with_the_round_that_uses_the_time_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SLICE", 0.0)
    monkeypatch.setattr(purge, "ROUND", 2)
    make_queue(purge_after=0)
    make_queue("longer", purge_after=10**6)
    enqueue_batch(do, [{}] * 5)
    enqueue_batch(do, [{"fail": 1}], queue="longer", failure_mode="continue")
    drain()
    drain("longer", runs=1)
    archive.archive()
    monkeypatch.setattr(settings, "RUN_RETENTION", -60.0)
    monkeypatch.setattr(settings, "ATTEMPT_RETENTION", -60.0)
    monkeypatch.setattr(settings, "WORKER_RETENTION", -60.0)
    left = []
    while upkeep.purge():
        left.append(
            (ArchivedJob.objects.count(), Chunk.objects.filter(queue__name="tested").count(), Run.objects.count())
        )
    assert [archived for archived, _, _ in left[:3]] == [3, 1, 0]
    runs = [runs for _, _, runs in left]
    assert runs == sorted(runs, reverse=True) and runs[2] > 0, "only when the archived jobs are gone"
    assert (left[-1], Attempt.objects.count(), Worker.objects.count()) == ((0, 0, 0), 1, 0)


def test_what_nobody_rings_is_done_unasked_and_again_at_once_while_more_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bells.ERRANDS["queues.tasks.archive"] == (upkeep.archive, 65.0)
    assert bells.ERRANDS["queues.tasks.purge"] == (upkeep.purge, 3_605.0)
    calls: list[float] = []

    def errand() -> bool:
        calls.append(monotonic())
        return len(calls) < 4

    monkeypatch.setattr(bells, "ERRANDS", {"errand": (errand, 2.0)})
    monkeypatch.setattr(bells, "LOOK", 0.01)
    monkeypatch.setattr(shutdown, "requested", lambda: len(calls) == 5)
    began = monotonic()
    listening = threading.Thread(target=bells._listen, daemon=True)
    listening.start()
    listening.join(20)
    first, *_, fourth, fifth = calls
    assert (first - began >= 2.0, fourth - first < 2.0, fifth - fourth >= 2.0) == (True, True, True)


@pytest.mark.django_db(transaction=True)
def test_work_alone_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground, "FIRST_TURN", 0.0)
    make_queue(chunk_size=10)
    enqueue_batch(do, [{}] * 50)
    worker = foreground.Foreground()
    try:
        assert worker.run(burst=True) == 50
    finally:
        worker.leave()
    assert (ArchivedJob.objects.count(), Job.objects.count()) == (50, 0)
    assert_sound()
