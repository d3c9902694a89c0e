"""All batches that match the filter of their list: frozen by the question, and nothing that comes after it."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from django.test import Client

from monitoring.views import batches_act, confirm
from queues.models import AuditEntry, Batch, Operation
from queues.selectors import batch_lists
from tests.checker import assert_sound
from tests.monitoring.test_operations_pages import form_of, shown
from tests.monitoring.worlds import ran_batch, waiting_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def everything_of(page: str) -> str:
    """What the list sends when all that match are meant."""
    return urlencode({**form_of(page[page.index('id="batches"') :]), "all": "1"})


def running() -> set[int]:
    return set(Batch.objects.filter(state="running").values_list("pk", flat=True))


def test_all_that_match_are_cancelled_and_nothing_later(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lists, "PAGE_SIZE", 2)
    going = [waiting_batch(2, name="prices") for _ in range(5)]
    other = waiting_batch(1, name="mails")
    page = shown(operator, "/batches/?name=prices&state=running")
    assert page.count('name="batch" value') == 2
    assert re.search(r'name="all" value="1" data-everything> all 5 that match</label>', page)
    asked = shown(operator, f"/batches/selected/cancel/?{everything_of(page)}")
    assert "<h1>Cancel 5 batches?</h1>" in asked and "It is about 10 jobs." in asked
    assert "Batches that appear later are left alone." in asked
    numbers = [batch.pk for batch in going]
    assert f"operate cancel_batches --batches {' '.join(map(str, numbers))}</pre>" in asked
    later = waiting_batch(1, name="prices")
    done = operator.post("/batches/selected/cancel/", {**form_of(asked), "reason": "wrong"}, follow=True)
    assert "5 cancelled." in done.content.decode()
    assert running() == {other.pk, later.pk}
    operation = Operation.objects.get()
    assert (operation.selection["batches"], operation.outcomes) == (numbers, {"cancelled": 5})
    assert AuditEntry.objects.get(action="cancel batches").reason == "wrong"
    assert_sound()


def test_without_a_filter_all_are_meant_and_those_that_cannot_be_are_counted(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "TYPED_ABOVE", 3)
    over, going = ran_batch(succeed=1), waiting_batch(4)
    asked = shown(operator, f"/batches/selected/cancel/?{everything_of(shown(operator, '/batches/'))}")
    assert "Cancel 1 of 2 batches?" in asked and "<b>1</b> not: it has ended" in asked
    fields = form_of(asked)
    refused = operator.post("/batches/selected/cancel/", {**fields, "typed": "3"})
    assert (refused.status_code, running()) == (422, {going.pk})
    # The question that is asked again means the same.
    assert form_of(refused.content.decode())["named"] == fields["named"] == f"{over.pk},{going.pk}"
    operator.post("/batches/selected/cancel/", {**fields, "typed": "4"})
    assert running() == set()


def test_more_than_can_be_meant_at_once_are_refused(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_act, "MOST", 2)
    for _ in range(3):
        waiting_batch(1)
    page = shown(operator, "/batches/")
    assert "More than 2 match: narrow the filter to change all of them." in page
    assert 'name="all"' not in page
    for query, said in (
        ("all=1", "More than 2 batches match: narrow the filter. Nothing was changed."),
        ("all=1&name=nobody", "No batch matches. Nothing was changed."),
        ("all=1&state=exploded", "State: there is no exploded."),
        ("all=1&since=never", "From: "),
    ):
        assert said in operator.get(f"/batches/selected/cancel/?{query}", follow=True).content.decode()
    # An answer to no question means nothing.
    assert (
        "Select batches first."
        in operator.post("/batches/selected/cancel/", {"all": "1"}, follow=True).content.decode()
    )
    assert len(running()) == 3 and not Operation.objects.exists()


def test_all_in_the_trash_are_restored(operator: Client) -> None:
    batches = [ran_batch(succeed=1) for _ in range(2)]
    operator.post("/batches/selected/delete/", {"batch": [batch.pk for batch in batches]})
    page = shown(operator, "/batches/?state=trashed")
    asked = shown(operator, f"/batches/selected/restore/?{everything_of(page)}")
    assert "2 restored." in operator.post("/batches/selected/restore/", form_of(asked), follow=True).content.decode()
    assert 'name="batch" value' not in shown(operator, "/batches/?state=trashed")


def test_who_only_looks_is_not_offered_it(signed_in: Callable[[str], Client]) -> None:
    waiting_batch(1)
    viewer = signed_in("viewer")
    assert "that match</label>" not in shown(viewer, "/batches/")
    assert viewer.get("/batches/selected/cancel/?all=1").status_code == 403
