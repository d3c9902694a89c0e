"""How a batch that has not ended stands: what keeps it from running is said wherever its state is."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from queues.models import Batch
from queues.selectors import batches
from queues.services.batch_pause import pause_batch
from queues.services.enqueue import enqueue_batch, seal
from queues.services.pause import pause_queue, resume_queue
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


def standing(batch: Batch) -> str:
    found = batches.batch(batch.pk)
    assert found is not None
    return found.standing


def announced(batch: Batch) -> Batch:
    """As when the broker has taken its first hint."""
    Batch.objects.filter(pk=batch.pk).update(queued_at=batch.created_at)
    return batch


def test_a_batch_goes_from_pending_to_its_end() -> None:
    batch = waiting_batch(4)
    assert standing(batch) == "pending"
    assert standing(announced(batch)) == "waiting"
    drain(runs=1, want=2)
    assert standing(batch) in ("running", "completed")
    drain()
    assert standing(batch) == "completed"


def test_what_holds_a_batch_is_named() -> None:
    make_queue()
    open_ = announced(enqueue_batch("tested.do", [1], open=True))
    assert standing(open_) == "open"
    seal(batch=open_)
    assert standing(open_) == "waiting"
    after = announced(enqueue_batch("tested.do", [1], after=[open_]))
    assert standing(after) == "staged"
    pause_queue(name="tested", actor="ann", source="api")
    assert (standing(open_), standing(after)) == ("queue-paused", "staged")
    resume_queue(name="tested", actor="ann", source="api")
    pause_batch(batch_id=after.pk, actor="ann", source="test", reason="")
    assert standing(after) == "paused"
    Batch.objects.filter(pk=open_.pk).update(stop_reason="cancelled")
    assert standing(open_) == "stopping"


def test_a_stage_that_waits_is_not_said_to_run(signed_in: Callable[[str], Client]) -> None:
    make_queue()
    first = announced(enqueue_batch("tested.do", [1], name="load"))
    second = announced(enqueue_batch("tested.do", [1], name="clean", after=[first]))
    viewer = signed_in("viewer")
    for address in (reverse("batches"), reverse("batch", args=[first.pk]), reverse("batch", args=[second.pk])):
        assert 'class="state is-staged"' in viewer.get(address).content.decode(), address
    drain()
    assert "waits for a stage" not in viewer.get(reverse("batch", args=[second.pk])).content.decode()
