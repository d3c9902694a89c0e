"""The admin's ways into operations on batches, and out of them."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client

from queues import admin_confirm
from queues.domain.states import Priority
from queues.models import AuditEntry, Batch, DeadLetter, Job, Operation, TrashedJob
from queues.selectors.batch_trash import in_trash
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from queues.services.recurring import recurring
from tests.checker import assert_sound
from tests.queues.admin_asking import act, ask, fields_of, said
from tests.queues.test_admin import _act, _staff, boss, rows
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
__all__ = ["boss", "rows"]


def test_batches_go_to_the_trash_and_come_back(boss: Client) -> None:
    make_queue()
    over = enqueue_batch("tested.do", [{}])
    drain()
    going = enqueue_batch("tested.do", [{}])
    told = said(_act(boss, Batch, "to_trash", [over.pk, going.pk]))
    assert "1 deleted" in told
    assert "1 jobs of it run or wait: cancel it first" in told
    assert in_trash(over.pk)
    operation = Operation.objects.get(action="delete_batches")
    assert "1 of 1 restored, done" in said(_act(boss, Operation, "undo", [operation.pk]))
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
    question = ask(boss, "/admin/queues/operation/", "undo", [operation.pk, cancelled.pk])
    assert "1 not: only a deletion can be undone" in said(question)
    told = said(_act(boss, Operation, "undo", [operation.pk, cancelled.pk]))
    assert f"Operation {operation.pk}: 2 of 2 restored, done" in told
    operation.refresh_from_db()
    assert (operation.state, TrashedJob.objects.count()) == ("cancelled", 0)
    assert_sound()


JOBS = "/admin/queues/job/"


def _batch(jobs: int) -> tuple[Batch, list[int]]:
    batch = enqueue_batch("tested.do", [{}] * jobs)
    return batch, list(Job.objects.filter(batch_id=batch.pk).order_by("pk").values_list("pk", flat=True))


def test_an_action_asks_and_changes_nothing(boss: Client) -> None:
    make_queue()
    _, jobs = _batch(3)
    drain()
    _, more = _batch(2)
    question = ask(boss, f"{JOBS}?q=", "cancel_jobs", [*jobs[:1], *more])
    page = question.content.decode()
    assert (question.status_code, Operation.objects.count(), AuditEntry.objects.filter(source="admin").count()) == (
        200,
        0,
        0,
    )
    assert "<h1>Cancel 2 jobs?</h1>" in page
    assert "They will not run. What runs now or has ended stays as it is." in page
    assert f"jobs {jobs[0]}, {more[0]}, {more[1]}" in page
    assert "1 not: it has succeeded" in said(question)
    assert f"python manage.py operate cancel --job {jobs[0]} --job {more[0]} --job {more[1]}" in page
    assert "csrfmiddlewaretoken" in page
    assert 'value="Cancel 2 jobs"' in page
    assert "delete-confirmation" in page
    answer = boss.post(f"{JOBS}?q=", {**fields_of(question), "reason": " a\0 typo "}, follow=True)
    assert answer.redirect_chain == [(f"{JOBS}?q=", 302)]
    operation = Operation.objects.get()
    assert (operation.source, operation.actor, operation.reason) == ("admin", "boss", "a typo")
    assert operation.outcomes == {"cancelled": 2, "it has succeeded": 1}
    entry = AuditEntry.objects.get(source="admin")
    assert (entry.action, entry.reason) == ("cancel jobs", "a typo")
    assert_sound()


def test_all_of_a_list_are_those_that_were_there_when_it_was_asked(boss: Client) -> None:
    make_queue()
    batch, jobs = _batch(120)
    question = ask(boss, JOBS, "cancel_jobs", jobs[-1:], select_across="1")
    assert "Cancel 120 jobs?" in question.content.decode()
    later, _ = _batch(1)
    boss.post(JOBS, fields_of(question))
    assert (Operation.objects.get().changed, Batch.objects.get(pk=batch.pk).cancelled) == (120, 120)
    assert Batch.objects.get(pk=later.pk).state == "running"


def test_a_large_number_is_typed(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_confirm, "TYPED_ABOVE", 3)
    make_queue()
    few, many = _batch(3), _batch(4)
    assert 'name="typed"' not in ask(boss, JOBS, "cancel_jobs", few[1]).content.decode()
    question = ask(boss, JOBS, "cancel_jobs", many[1])
    assert "Type 4 to confirm" in question.content.decode()
    for wrong in ({}, {"typed": "3"}, {"typed": "x"}):
        refused = boss.post(JOBS, {**fields_of(question), **wrong, "reason": "so <b>it</b> is"})
        assert refused.status_code == 422
        assert "Type the number of jobs, 4, to confirm." in refused.content.decode()
        assert "so &lt;b&gt;it&lt;/b&gt; is" in refused.content.decode()
    assert Operation.objects.count() == 0
    # Of batches it is the number of their jobs.
    assert "Type 4 to confirm" in ask(boss, "/admin/queues/batch/", "cancel", [many[0].pk]).content.decode()
    assert "(4 cancelled)" in said(boss.post(JOBS, {**fields_of(question), "typed": "4"}, follow=True))


def test_what_comes_back_must_be_what_was_asked(boss: Client) -> None:
    make_queue()
    _, jobs = _batch(2)
    fields = fields_of(ask(boss, JOBS, "cancel_jobs", jobs))
    for keys in ("", "x", f"{jobs[0]},", "99999999999999999999"):
        assert "is not what was asked here" in said(boss.post(JOBS, {**fields, "keys": keys}, follow=True))
    too_many = ",".join(map(str, range(1, 10_003)))
    assert "at most 10,000 at once" in said(boss.post(JOBS, {**fields, "keys": too_many}, follow=True))
    assert Operation.objects.count() == 0


def test_jobs_get_another_priority_and_queue(boss: Client) -> None:
    make_queue()
    make_queue("other")
    _, jobs = _batch(2)
    for action, name, to in (("change_priority", "priority", "high"), ("change_queue", "queue", "other")):
        question = ask(boss, JOBS, action, jobs)
        page = question.content.decode()
        assert f"New {name}:" in page
        assert f'<option value="{to}">{to}</option>' in page
        assert f"operate {name} --to {name.upper()} --job" in page
        for wrong in ({}, {"to": "nonsense"}):
            refused = boss.post(JOBS, {**fields_of(question), **wrong})
            assert (refused.status_code, f"Choose the new {name}." in refused.content.decode()) == (422, True)
        told = said(act(boss, JOBS, action, jobs, to=to, reason="urgent"))
        assert "2 of 2 done, done" in told
    chunk = Job.objects.get(pk=jobs[0]).chunk
    assert (chunk.priority, chunk.queue.name) == (Priority.HIGH, "other")
    entries = AuditEntry.objects.filter(source="admin").values_list("action", "reason")
    assert list(entries.order_by("pk")) == [("change priority", "urgent"), ("change queue", "urgent")]
    assert_sound()


def test_batches_are_acted_on_by_operations(boss: Client) -> None:
    make_queue()
    (first, _), (second, _), (over, _) = _batch(2), _batch(3), _batch(1)
    page_of = "/admin/queues/batch/"
    act(boss, page_of, "cancel", [over.pk])
    question = ask(boss, page_of, "cancel", [first.pk, second.pk, over.pk])
    page = question.content.decode()
    assert "Cancel 2 of 3 batches?" in page
    assert "It is about 5 jobs." in page
    assert f"operate cancel_batches --batches {first.pk} {second.pk} {over.pk}" in page
    assert "1 not: it has ended" in said(question)
    boss.post(page_of, {**fields_of(question), "reason": "wrong file"})
    operation = Operation.objects.order_by("pk").last()
    assert operation is not None
    assert (operation.action, operation.reason, operation.outcomes) == (
        "cancel_batches",
        "wrong file",
        {"cancelled": 2, "it has ended": 1},
    )


def test_trash_is_emptied_after_a_question_by_those_who_may(client: Client) -> None:
    make_queue()
    _, jobs = _batch(2)
    operate.start(action="delete", selection={"job_ids": jobs}, actor="ann", source="api")
    person = _staff(client, "view_console", "operate")
    page = "/admin/queues/trashedjob/"
    act(person, page, "remove", jobs)
    assert TrashedJob.objects.count() == 2
    user = User.objects.get(username="someone")
    user.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    fields = fields_of(ask(person, page, "remove", jobs))
    assert TrashedJob.objects.count() == 2
    # The right is asked for once more with the answer.
    user.user_permissions.remove(Permission.objects.get(codename="empty_trash"))
    person.post(page, fields)
    assert TrashedJob.objects.count() == 2
    user.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    assert "(2 removed)" in said(person.post(page, fields, follow=True))
    assert TrashedJob.objects.count() == 0


def test_a_confirmation_needs_the_token(boss: Client) -> None:
    make_queue()
    _, jobs = _batch(1)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="boss"))
    fields = fields_of(ask(boss, JOBS, "cancel_jobs", jobs))
    assert strict.post(JOBS, fields).status_code == 403
    assert Operation.objects.count() == 0


# Every action of ours, with rows that it can be done with.
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (page.model, action.__name__)
        for page in admin.site._registry.values()
        if page.model._meta.app_label == "queues"
        for action in page.actions
        if callable(action)
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_action_asks_first_and_offers_a_reason(boss: Client, rows: Batch, model: Any, name: str) -> None:
    if model is TrashedJob:
        jobs = list(Job.objects.filter(chunk__state="ready").values_list("pk", flat=True))
        operate.start(action="delete", selection={"job_ids": jobs}, actor="ann", source="api")
    before = AuditEntry.objects.count()
    page = f"/admin/queues/{model._meta.model_name}/"
    keys = list(model.objects.order_by("pk").values_list("pk", flat=True)[:10])
    question = ask(boss, page, name, keys or ["0"])
    assert question.templates[0].name == "admin/queues/confirm.html"
    body = question.content.decode()
    assert ('name="reason"' in body) is (question.context["question"].count > 0)
    assert re.findall(r"<[^>]+\s(?:style|on\w+)\s*=", body) == []
    assert AuditEntry.objects.count() == before


def test_the_actions_that_ask_nothing_change_nothing() -> None:
    plain = {
        action
        for page in admin.site._registry.values()
        if page.model._meta.app_label == "queues"
        for action in page.actions
        if not callable(action)
    }
    assert plain == {"test"}, "a test event is sent, and nothing of ours is changed by it"


def test_what_has_died_after_the_question_is_not_retried(boss: Client) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}] * 2)
    drain()
    letters = list(DeadLetter.objects.values_list("pk", flat=True))
    page, whole = "/admin/queues/deadletter/", "/admin/queues/batch/"
    asked = fields_of(ask(boss, page, "retry", letters)), fields_of(ask(boss, whole, "retry_dead", [batch.pk]))
    act(boss, page, "retry", letters)
    drain()
    boss.post(page, asked[0])
    boss.post(whole, asked[1])
    retries = Operation.objects.filter(action__in=("retry", "retry_dead")).order_by("pk")
    assert retries[0].outcomes == {"retried": 2}
    assert sum(operation.changed for operation in retries[1:]) == 0
    assert set(DeadLetter.objects.values_list("attempts", flat=True)) == {2}
    boss.post(page, {**asked[0], "asked_at": "2030-01-01T00:00:00+00:00"})
    assert set(DeadLetter.objects.values_list("attempts", flat=True)) == {2}


def test_an_answer_that_is_sent_twice_makes_one_batch(boss: Client) -> None:
    make_queue()
    batch, _ = _batch(2)
    drain()
    again = fields_of(ask(boss, "/admin/queues/batch/", "retry_all", [batch.pk]))
    schedule = recurring("nightly", "tested.do", [{"n": 1}], every=3_600)
    once = fields_of(ask(boss, "/admin/queues/recurring/", "run", [schedule.pk]))
    for _ in range(2):
        boss.post("/admin/queues/batch/", again)
        boss.post("/admin/queues/recurring/", once)
    assert Batch.objects.count() == 3
