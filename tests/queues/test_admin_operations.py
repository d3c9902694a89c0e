"""The admin's ways into operations on batches, and out of them."""

import pytest
from django.test import Client

from queues.models import Operation, TrashedJob
from queues.selectors.batch_trash import in_trash
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.test_admin import _act, _said, boss
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
__all__ = ["boss"]


def test_batches_go_to_the_trash_and_come_back(boss: Client) -> None:
    from queues.models import Batch

    make_queue()
    over = enqueue_batch("tested.do", [{}])
    drain()
    going = enqueue_batch("tested.do", [{}])
    said = _said(_act(boss, Batch, "to_trash", [over.pk, going.pk]))
    assert "1 deleted" in said
    assert "1 jobs of it run or wait: cancel it first" in said
    assert in_trash(over.pk)
    operation = Operation.objects.get(action="delete_batches")
    assert "1 of 1 restored, done" in _said(_act(boss, Operation, "undo", [operation.pk]))
    assert in_trash(over.pk) is None
    assert_sound()


def test_a_deletion_that_goes_on_is_undone(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 2)
    monkeypatch.setattr(operate, "ROUND", 2)
    make_queue()
    batch = enqueue_batch("tested.do", [{}] * 6)
    selection = {"batch": batch.pk, "state": "pending"}
    operation = operate.start(action="delete", selection=selection, actor="ann", source="api")
    cancelled = operate.start(action="cancel", selection={"job_ids": [batch.last_job_id]}, actor="ann", source="api")
    assert operate.advance(operation_id=operation.pk)
    assert TrashedJob.objects.count() == 2
    said = _said(_act(boss, Operation, "undo", [operation.pk, cancelled.pk]))
    assert f"Operation {operation.pk}: 2 of 2 restored, done" in said
    assert f"Operation {cancelled.pk}: only a deletion can be undone" in said
    operation.refresh_from_db()
    assert (operation.state, TrashedJob.objects.count()) == ("cancelled", 0)
    assert_sound()
