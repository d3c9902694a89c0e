"""The broker is only a hint: without it work is taken in and done, and with it all is as before."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import transaction

from batchconsole.broker import empty_broker
from queues.models import Batch, Queue
from queues.services import announce
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.house.processes import python, running
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_batch_waits_for_its_hand_over_and_is_done_all_the_same(
    broken: Callable[[], None], worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=50)
    with transaction.atomic():
        batch = enqueue_batch("traced.quick", range(1_000))
        single = enqueue("traced.quick", 1)
    batch.refresh_from_db()
    assert (batch.state, batch.queued_at, Queue.objects.get().hinted_at) == ("running", None, None)
    assert announce.drive() == 0
    with crew(worker_env, trace, "traced", children=2) as crowd:
        wait_for(lambda: ended(batch), 40, "the batch to end")
        wait_for(lambda: single in trace.jobs(), 20, "the single job")
        crowd.stop()
    assert (batch.state, batch.succeeded, set(trace.jobs().values())) == ("completed", 1_000, {1})
    assert_sound()


def test_the_command_that_needs_no_broker_does_the_work(
    broken: Callable[[], None], worker_env: dict[str, str], trace: Trace
) -> None:
    traced_queue(chunk_size=50)
    batch = enqueue_batch("traced.fails_once", ["fail", *range(500)])
    env = worker_env | {"TRACE": str(trace.path), "BATCHCONSOLE_APPS": "tests.concurrency"}
    with running(python("manage.py", "work", "--queue", "traced", "--burst"), env) as work:
        assert work.wait(60) == 0
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, trace.count()) == ("completed", 501, 502)
    assert_sound()


def test_the_hand_over_is_made_up_for_when_the_broker_is_back(broken: Callable[[], None]) -> None:
    traced_queue()
    enqueue_batch("traced.quick", range(10))
    assert announce.drive() == 0
    broken()
    assert announce.drive() == 1
    assert Batch.objects.get().queued_at is not None
    assert announce.drive() == 0, "one hint at a time"
    empty_broker(settings.HOME)
