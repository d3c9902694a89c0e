"""Pending hand-over to queued: what went wrong is recorded, and a death between any two steps is repaired."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from batchconsole.broker import empty_broker
from queues.models import Batch, Chunk, Queue
from queues.selectors.handover import hand_overs
from queues.services import announce, doctor
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.house.processes import python, running
from tests.queues.commanding import command
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def age(seconds: float) -> None:
    """All batches are older by so much."""
    moment = timezone.now() - timedelta(seconds=seconds)
    Batch.objects.update(created_at=moment, sealed_at=moment)


def pending(queue: Queue) -> dict[str, object]:
    found = [one for one in command("queues", "list", "--json").document if one["queue"] == queue.name]
    return dict(found[0]["hand_over"])


def findings() -> list[tuple[str, str, bool]]:
    return [(one.subject, one.message, one.warning) for one in doctor.check_stuck() if one.check == "hand-over"]


def test_with_the_broker_stopped_after_the_insert_the_reason_is_kept_until_it_is_back(
    broken: Callable[[], None],
) -> None:
    queue = traced_queue()
    batch = enqueue_batch("traced.quick", range(10), name="kept")
    batch.refresh_from_db()
    queue.refresh_from_db()
    assert (batch.queued_at, batch.sealed_at is not None, queue.hint_failures, queue.hinted_at) == (None, True, 1, None)
    assert queue.hint_error.startswith(("NotADirectoryError", "FileExistsError", "OperationalError", "ChannelError"))
    assert queue.hint_failed_at is not None
    assert findings() == []
    for _ring in range(3):
        assert announce.drive() == 0
    age(90)
    queue.refresh_from_db()
    shown = pending(queue)
    assert (shown["pending_batches"], shown["failures"], shown["error"]) == (1, 4, queue.hint_error)
    assert 90 <= float(str(shown["oldest_seconds"])) < 150
    (batches, message, warning), (name, said, _mild) = findings()
    assert (batches, "1 have not been announced, the oldest for 90 s" in message, warning) == ("batches", True, False)
    assert (name, "4 messages in a row could not be sent" in said, queue.hint_error in said) == (
        "queue traced",
        True,
        True,
    )
    broken()
    assert announce.drive() == 1
    queue.refresh_from_db()
    batch.refresh_from_db()
    assert (queue.hint_error, queue.hint_failed_at, queue.hint_failures) == ("", None, 0)
    assert batch.sealed_at < batch.queued_at
    assert (findings(), hand_overs()) == ([], {})
    empty_broker(settings.HOME)


SEND_AND_DIE = """
import os, signal
import django
django.setup()
from queues import store
from queues.services.enqueue import enqueue_batch
from django.utils import timezone
from datetime import timedelta

run = store.run

def until_the_mark(name, /, **values):
    if name == "mark_queued":
        os.kill(os.getpid(), signal.SIGKILL)
    return run(name, **values)

store.run = until_the_mark
enqueue_batch("traced.slow", [1] * 300, run_at=timezone.now() + timedelta(hours=1))
"""


def test_killed_between_sending_and_marking_beat_marks_it(worker_env: dict[str, str]) -> None:
    traced_queue()
    env = worker_env | {"BATCHCONSOLE_APPS": "tests.concurrency"}
    with running(python("-c", SEND_AND_DIE), env) as victim:
        assert victim.wait(30) == -9
    batch = Batch.objects.get()
    messages = list((Path(settings.HOME) / "broker").rglob("*.msg"))
    assert (batch.queued_at, batch.sealed_at is not None, len(messages)) == (None, True, 1)
    assert announce.drive() == 0, "the message may still be answered"
    # Nothing of the batch is due, so no worker would ever start it, and only the hand-over itself is to be made up for.
    Queue.objects.update(hinted_at=timezone.now() - timedelta(seconds=announce.LOST_AFTER + 1))
    assert announce.drive() == 1
    batch.refresh_from_db()
    assert batch.queued_at is not None
    Queue.objects.update(hinted_at=None)
    assert announce.drive() == 0
    empty_broker(settings.HOME)
    assert_sound()


def test_a_batch_that_is_worked_on_has_been_handed_over(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=50)
    env = worker_env | {"BATCHCONSOLE_APPS": "tests.concurrency"}
    with running(python("-c", SEND_AND_DIE.replace("hours=1", "hours=0")), env) as victim:
        assert victim.wait(30) == -9
    batch = Batch.objects.get()
    assert batch.queued_at is None
    with crew(worker_env, trace, "traced", children=1) as workers:
        wait_for(lambda: Chunk.objects.filter(state="leased").exists() or ended(batch), 30, "the first run")
        wait_for(lambda: Batch.objects.get().queued_at, 10, "its mark")
        wait_for(lambda: ended(batch), 60, "the end")
        workers.stop()
    assert batch.created_at <= batch.sealed_at <= batch.queued_at <= batch.started_at <= batch.finished_at
    assert_sound()
