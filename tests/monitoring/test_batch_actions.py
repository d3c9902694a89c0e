"""What is done with one batch from its page: the operation that the list would begin, told and undone where it is."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from queues.models import AuditEntry, Batch, Operation
from queues.selectors.batch_trash import in_trash
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    """Somebody who may act, and may not empty the trash."""
    return signed_in("operator")


def test_the_notice_of_a_deletion_undoes_it(operator: Client) -> None:
    batch = ran_batch(succeed=2, die=1, name="prices")
    told = operator.post(reverse("batch-delete", args=[batch.pk]), {"reason": "oops"}, follow=True).content.decode()
    operation = Operation.objects.get(action="delete_batches")
    assert f"Batch {batch.pk} is deleted. It can be restored for 3 d 00 h." in told
    assert f'<form method="post" action="/operations/{operation.pk}/undo/">' in told
    assert in_trash(batch.pk)
    entry = AuditEntry.deeds().get()
    assert (entry.action, entry.target, entry.reason) == ("delete batch", f"batch {batch.pk}", "oops")
    assert entry.outcome["bulk"] == operation.pk
    undone = operator.post(reverse("operation-undo", args=[operation.pk]), follow=True).content.decode()
    assert "1 restored." in undone
    assert in_trash(batch.pk) is None and Batch.objects.get().state == "partial"
    assert list(AuditEntry.deeds().order_by("pk").values_list("action", flat=True)) == ["delete batch", "restore batch"]


def test_a_deletion_that_is_not_possible_is_no_operation(operator: Client) -> None:
    batch = ran_batch(succeed=1)
    waits = enqueue_batch("tested.do", [{}], after=[batch, waiting_batch()])
    told = operator.post(reverse("batch-delete", args=[batch.pk]), follow=True).content.decode()
    assert f"batch {waits.pk} waits for batch {batch.pk}. Nothing was changed." in told
    assert not Operation.objects.exists()


def test_a_cancellation_is_an_operation_with_one_entry(operator: Client) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{}] * 2 + [{"die": 1}] + [{"fail": 1}] * 3)
    drain()
    where = reverse("batch-cancel", args=[batch.pk])
    asked = operator.get(where).content.decode()
    assert "3 of 6 jobs" in asked
    assert "<b>2</b> not: it has succeeded" in asked and "<b>1</b> not: it is a dead letter" in asked
    assert f"python manage.py operate cancel_batches --batches {batch.pk}</pre>" in asked
    told = operator.post(where, {"reason": "wrong list"}, follow=True).content.decode()
    operation = Operation.objects.get()
    assert (operation.action, operation.state, operation.outcomes) == ("cancel_batches", "done", {"cancelled": 1})
    assert "The batch is cancelled: 3 waiting jobs will not run." in told
    assert f'<a href="/operations/{operation.pk}/">Operation {operation.pk}</a>' in told
    entry = AuditEntry.deeds().get()
    assert (entry.action, entry.target, entry.actor) == ("cancel batch", f"batch {batch.pk}", "operator")
    assert (entry.reason, entry.outcome) == (
        "wrong list",
        {"operation": operation.pk, "bulk": operation.pk, "jobs": 3},
    )
    assert_sound()


def test_a_cancellation_survives_the_request(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 0)
    batch = waiting_batch(3)
    told = operator.post(reverse("batch-cancel", args=[batch.pk]), {"reason": "later"}, follow=True).content.decode()
    assert "1 batch is being cancelled in the background." in told
    assert Batch.objects.get().state == "running"
    while operate.advance_all():
        pass
    assert Batch.objects.get().state == "cancelled"
    assert AuditEntry.deeds().get().reason == "later"


def test_what_never_ran_has_neither_rate_nor_duration(operator: Client) -> None:
    batch = waiting_batch(9)
    operator.post(reverse("batch-cancel", args=[batch.pk]))
    page = operator.get(reverse("batch", args=[batch.pk])).content.decode()
    facts = dict(re.findall(r"<div><dt>([^<]*)</dt><dd>([^<]*)</dd></div>", page))
    assert (facts["Mean rate"], facts["Success rate"], facts["Duration"]) == ("–", "–", "–")
    row = operator.get(reverse("batches")).content.decode()
    for cell in ("success", "rate", "took"):
        assert re.search(rf'data-cell="{cell}">–<', row), cell
