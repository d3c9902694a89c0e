"""Questions whose answer makes a batch: answered twice, by the Back button or two clicks, they make no second one."""

import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse

from queues import handlers
from queues.models import AuditEntry, Batch, Recurring
from queues.services.delete import delete_batch
from queues.services.operate import advance_all
from queues.services.recurring import recurring, run_recurring
from tests.monitoring.worlds import ran_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
TOKEN = "0123456789abcdef" * 2


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def test_a_clone_is_made_once_however_often_its_question_is_answered(operator: Client) -> None:
    batch = ran_batch(succeed=2, die=1)
    clone = reverse("batch-clone", args=[batch.pk])
    asked = operator.get(f"{clone}?next=/jobs/", follow=True)
    where = asked.redirect_chain[-1][0]
    token = str(asked.wsgi_request.GET["form"])
    assert asked.wsgi_request.GET["next"] == "/jobs/"
    assert f'name="form" value="{token}"' in asked.content.decode()
    assert operator.get(where).status_code == 200
    first = operator.post(clone, {"form": token, "reason": "again"})["Location"]
    made = Batch.objects.exclude(pk=batch.pk).get()
    assert first == f"/batches/{made.pk}/"
    # The form once more, as a browser keeps it, and the question asked for anew, as it does otherwise.
    for answer in (operator.post(clone, {"form": token}, follow=True), operator.get(where, follow=True)):
        assert answer.redirect_chain[-1][0] == first
        assert f"answered already: batch {made.pk} was made then" in answer.content.decode()
    assert (Batch.objects.count(), AuditEntry.objects.filter(action="retry whole batch").count()) == (2, 1)
    # Another question, or that of another batch with the same token, makes another one.
    again = operator.get(clone, follow=True).wsgi_request.GET["form"]
    assert operator.post(clone, {"form": again})["Location"] != first
    assert operator.post(reverse("batch-clone", args=[made.pk]), {"form": token})["Location"] != first
    assert Batch.objects.count() == 4


def test_the_made_clone_is_found_when_the_first_batch_can_be_cloned_no_more(operator: Client) -> None:
    batch = ran_batch(succeed=2)
    clone, token = reverse("batch-clone", args=[batch.pk]), TOKEN
    first = operator.post(clone, {"form": token})["Location"]
    delete_batch(batch_id=batch.pk, actor="ann", source="api")
    advance_all()
    assert operator.post(clone, {"form": token})["Location"] == first
    assert operator.post(clone, {"form": "x"}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_answers_at_the_same_moment_make_one_clone(operator: Client) -> None:
    batch = ran_batch(succeed=50)
    clone, token = reverse("batch-clone", args=[batch.pk]), TOKEN

    user = User.objects.get(username="operator")

    def send(_place: int) -> str:
        client = Client()
        client.force_login(user)
        try:
            return str(client.post(clone, {"form": token})["Location"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(send, range(4)))
    made = Batch.objects.exclude(pk=batch.pk).get()
    assert places == {f"/batches/{made.pk}/"}
    assert AuditEntry.objects.filter(action="retry whole batch").count() == 1


def test_a_schedule_runs_once_for_each_question(operator: Client) -> None:
    make_queue()
    numbers = iter(range(1_000))

    @handlers.source(name="tests.numbers")
    def read() -> list[int]:
        """Other jobs each time: only the key tells that it is the same run."""
        return [next(numbers)]

    row = recurring("nightly", "tested.do", source=read, every=3_600)
    run = reverse("schedule-run", args=[row.pk])
    asked = operator.get(f"{run}?next=/schedules/", follow=True)
    where, token = asked.redirect_chain[-1][0], str(asked.wsgi_request.GET["form"])
    assert f'name="form" value="{token}"' in asked.content.decode()
    assert operator.post(run, {"form": token, "next": "/schedules/"})["Location"] == "/schedules/"
    made = Batch.objects.get()
    for answer in (operator.post(run, {"form": token}, follow=True), operator.get(where, follow=True)):
        assert answer.redirect_chain[-1][0] == f"/batches/{made.pk}/"
        assert f"answered already: batch {made.pk} was made then" in answer.content.decode()
    # Two at once meet at the schedule: the second one finds the key.
    key = f"run schedule {row.pk} {token}"
    assert run_recurring(name="nightly", actor="ann", source="page", idempotency_key=key) == made
    assert (Batch.objects.count(), AuditEntry.objects.filter(action="run recurring").count()) == (1, 1)
    assert next(numbers) == 1
    operator.post(run, {"form": TOKEN})
    assert Batch.objects.count() == 2


@pytest.mark.parametrize("name", ["it's", "a; rm -rf b", "$(date) `id`", "--help", "a  b"])
def test_the_command_of_a_schedule_can_be_pasted_whatever_its_name(operator: Client, name: str) -> None:
    make_queue()
    row = recurring(name, "tested.do", [{}], every=3_600)
    for deed, verb in (("run", "run"), ("pause", "disable"), ("resume", "enable")):
        asked = operator.get(reverse(f"schedule-{deed}", args=[row.pk]), follow=True)
        words = shlex.split(asked.context["question"].command)
        assert words[:4] == ["python", "manage.py", "recurring", verb]
        assert [word for word in words[4:] if word != "--"] == [name]
        call_command(*words[2:])
    row.refresh_from_db()
    assert (row.enabled, Batch.objects.get().name, Recurring.objects.count()) == (True, name, 1)
