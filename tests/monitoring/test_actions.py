"""Deeds from the pages: who did what, to how many, and what became of it."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.db.models import DateTimeField, Func
from django.test import Client

from monitoring.views import confirm
from queues.models import AuditEntry, Batch, Chunk, DeadLetter, Queue
from tests.monitoring.worlds import ran_batch, waiting_batch

pytestmark = pytest.mark.django_db
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class ClockTimestamp(Func):
    """Now, also within one transaction."""

    function = "clock_timestamp"
    output_field = DateTimeField()


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def said(client: Client, url: str = "/help/") -> str:
    return client.get(url).content.decode()


def test_one_job_is_retried_at_once(operator: Client) -> None:
    ran_batch(die=2)
    first, second = DeadLetter.objects.values_list("pk", flat=True).order_by("pk")
    response = operator.post("/dead-letters/retry/", {"job": first, "next": "/dead-letters/"})
    assert response["Location"] == "/dead-letters/"
    assert list(DeadLetter.objects.values_list("pk", flat=True)) == [second]
    assert "1 retried." in said(operator)
    entry = AuditEntry.deeds().get()
    assert (entry.actor, entry.source) == ("operator", "page")


def test_all_of_a_filter_are_asked_for_with_their_number(operator: Client) -> None:
    batch = ran_batch(die=3)
    ran_batch(die=2, name="another")
    asked = operator.get(f"/dead-letters/retry/?all=1&batch={batch.pk}").content.decode()
    assert "Retry 3 dead letters of batch" in asked
    operator.post("/dead-letters/retry/", {"all": "1", "batch": batch.pk, "reason": " the disk is back "})
    assert DeadLetter.objects.count() == 2
    assert AuditEntry.deeds().get().reason == "the disk is back"


def form_of(page: str) -> dict[str, str]:
    """The hidden fields of a question, as a browser sends them back."""
    return {unescape(name): unescape(value) for name, value in HIDDEN.findall(page)}


@pytest.mark.parametrize("verb", ["retry", "delete"])
def test_what_dies_between_the_question_and_the_answer_is_left_alone(operator: Client, verb: str) -> None:
    ran_batch(die=3)
    later = ran_batch(die=2, name="later")
    url = f"/dead-letters/{verb}/?all=1&queue=tested"
    DeadLetter.objects.filter(batch=later).update(queue=0)
    fields = form_of(operator.get(url).content.decode())
    assert fields["shown"] == "3"
    DeadLetter.objects.filter(batch=later).update(queue=Queue.objects.get().pk, died_at=ClockTimestamp())
    assert operator.post(url, fields).status_code == 302
    assert set(DeadLetter.objects.values_list("batch", flat=True)) == {later.pk}
    assert AuditEntry.deeds().get().outcome["jobs"] == 3


def test_a_death_that_comes_to_light_after_the_question_is_shown_first(operator: Client) -> None:
    ran_batch(die=2)
    fields = form_of(operator.get("/dead-letters/delete/?all=1&queue=tested").content.decode())
    early = DeadLetter.objects.earliest("died_at")
    early.pk = 10**12
    early.save(force_insert=True)  # died before the question, committed after it
    answer = operator.post("/dead-letters/delete/", fields)
    assert answer.status_code == 422
    assert "1 more have come to light" in answer.content.decode()
    assert DeadLetter.objects.count() == 3
    operator.post("/dead-letters/delete/", form_of(answer.content.decode()))
    assert not DeadLetter.objects.filter(pk__lt=10**12).exists()


def test_a_question_that_was_changed_is_asked_again(operator: Client) -> None:
    ran_batch(die=2)
    fields = form_of(operator.get("/dead-letters/delete/?all=1&queue=tested").content.decode())
    answer = operator.post("/dead-letters/delete/", fields | {"until": fields["until"].replace("20", "30", 1)})
    assert answer.status_code == 422
    assert DeadLetter.objects.count() == 2


def test_picked_jobs_are_deleted_after_a_question(operator: Client) -> None:
    ran_batch(die=3)
    picked = list(DeadLetter.objects.values_list("pk", flat=True)[:2])
    query = "&".join(f"job={job}" for job in picked)
    asked = operator.get(f"/dead-letters/delete/?{query}").content.decode()
    assert "Delete 2 dead letters?" in asked
    assert DeadLetter.objects.count() == 3
    operator.post("/dead-letters/delete/", {"job": picked})
    assert DeadLetter.objects.count() == 1
    assert Chunk.objects.filter(held_why="trashed").count() == 1


def test_picked_jobs_win_over_a_filter(operator: Client) -> None:
    batch = ran_batch(die=3)
    job = DeadLetter.objects.values_list("pk", flat=True)[0]
    operator.post("/dead-letters/retry/", {"job": job, "all": "1", "batch": batch.pk})
    assert DeadLetter.objects.count() == 2


@pytest.mark.parametrize("data", [{}, {"all": "1"}, {"job": "x"}, {"batch": "1"}, {"all": "1", "batch": "nonsense"}])
def test_nothing_picked_changes_nothing(operator: Client, data: dict[str, str]) -> None:
    ran_batch(die=1)
    assert operator.post("/dead-letters/delete/", data).status_code == 302
    assert DeadLetter.objects.count() == 1
    assert not AuditEntry.deeds().exists()


def test_somebody_was_quicker(operator: Client) -> None:
    ran_batch(die=1)
    job = DeadLetter.objects.get().pk
    DeadLetter.objects.all().delete()
    assert "nothing left to do" in operator.get(f"/dead-letters/retry/?job={job}").content.decode()
    operator.post("/dead-letters/retry/", {"job": job})
    assert "no dead letter matches" in said(operator)


def test_a_large_number_is_typed(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "TYPED_ABOVE", 2)
    batch = ran_batch(die=3)
    data = {"all": "1", "batch": str(batch.pk), "shown": "3"}
    for typed in ("", "4", "x"):
        response = operator.post("/dead-letters/delete/", {**data, "typed": typed, "reason": "kept"})
        assert response.status_code == 422
        assert 'value="kept"' in response.content.decode()
    assert DeadLetter.objects.count() == 3
    assert operator.post("/dead-letters/delete/", {**data, "typed": "3"}).status_code == 302
    assert DeadLetter.objects.count() == 0


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil"])
def test_nobody_is_sent_to_another_site(operator: Client, place: str) -> None:
    ran_batch(die=1)
    job = DeadLetter.objects.get().pk
    response = operator.post("/dead-letters/retry/", {"job": job, "next": place})
    assert response["Location"] == "/dead-letters/"


def test_a_batch_is_cancelled(operator: Client) -> None:
    batch = waiting_batch(5, name="Wrong list")
    url = f"/batches/{batch.pk}/cancel/"
    asked = operator.get(url).content.decode()
    assert "Cancel batch “Wrong list”?" in asked
    assert "5 waiting will not run" in asked
    assert operator.post(url, {"reason": "wrong list"})["Location"] == f"/batches/{batch.pk}/"
    batch.refresh_from_db()
    assert batch.state == "cancelled"
    assert "5 waiting jobs will not run" in said(operator)
    operator.post(url)
    assert "it is cancelled" in said(operator)
    assert AuditEntry.objects.filter(action="cancel batch").count() == 1


def test_a_queue_is_paused_and_resumed(operator: Client) -> None:
    waiting_batch(1)
    operator.post("/queues/tested/pause/", {"reason": "migration"})
    queue = Queue.objects.get()
    assert (queue.paused_by, queue.pause_reason) == ("operator", "migration")
    assert "/queues/tested/resume/" in said(operator, "/")
    operator.post("/queues/tested/resume/")
    assert Queue.objects.get().paused_at is None
    operator.post("/queues/tested/resume/")
    assert "is not paused" in said(operator)


def test_a_viewer_changes_nothing(signed_in: Callable[[str], Client]) -> None:
    batch = ran_batch(die=1)
    viewer = signed_in("viewer")
    job = DeadLetter.objects.get().pk
    for url in (
        "/dead-letters/retry/",
        "/dead-letters/delete/",
        f"/batches/{batch.pk}/cancel/",
        "/queues/tested/pause/",
    ):
        assert viewer.post(url, {"job": job}).status_code == 403
    assert DeadLetter.objects.count() == 1
    assert Batch.objects.get().state == "failed"
    assert Queue.objects.get().paused_at is None
