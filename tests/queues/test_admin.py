"""The admin: quick lists, nothing to be changed by hand, the operators' verbs through their services."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from queues import admin_base
from queues.models import (
    ArchivedJob,
    AuditEntry,
    Batch,
    DeadLetter,
    Job,
    Queue,
    Recurring,
    Webhook,
    Worker,
)
from queues.services import workers
from queues.services.archive import archive
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.admin_asking import act, said
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db

MODELS = list(apps.get_app_config("queues").get_models())
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def test_the_admin_bears_the_name_of_the_console(boss: Client) -> None:
    shown = boss.get(reverse("admin:index")).content.decode()
    assert "batchconsole admin" in shown
    assert "Django administration" not in shown


@pytest.fixture
def rows() -> Batch:
    """Something in every table."""
    make_queue(max_runs=2, keep_results=3600, chunk_size=10)
    batch = enqueue_batch(do, [{"n": n} if n else {"die": EVIL} for n in range(30)], name="all sorts")
    enqueue_batch(do, [{"value": EVIL} for _ in range(3)])
    drain()
    archive()
    enqueue(do, {"later": EVIL}, key="a key")
    workers.register(identity=workers.identify(), queues=["tested"])
    return batch


def _url(model: Any, page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:queues_{model._meta.model_name}_{page}", args=args)


def _act(client: Client, model: Any, action: str, keys: list[Any], **answers: Any) -> Any:
    return act(client, _url(model), action, keys, **answers)


def test_every_model_is_registered() -> None:
    assert {model for model in MODELS if not admin.site.is_registered(model)} == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_list_and_detail_are_shown_safely(model: Any, boss: Client, rows: Batch) -> None:
    pages = [_url(model)]
    if first := model.objects.order_by("pk").first():
        pages.append(_url(model, "change", first.pk))
    for page in pages:
        response = boss.get(page)
        assert response.status_code == 200
        body = response.content.decode()
        assert EVIL not in body
        # What the policy of every page would block: inline scripts, styles and handlers.
        assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", body) == []
        assert re.findall(r"<[^>]+\s(?:style|on\w+)\s*=", body) == []
        assert "<style" not in body
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]


# What people set: policies, schedules and addresses. All other rows are the engine's.
SET_BY_PEOPLE = (Queue, Recurring, Webhook)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_only_what_people_set_can_be_changed_and_nothing_deleted(model: Any, boss: Client, rows: Batch) -> None:
    first = model.objects.order_by("pk").first()
    assert boss.get(_url(model, "add")).status_code == (200 if model in SET_BY_PEOPLE else 403)
    if first is not None:
        assert boss.post(_url(model, "delete", first.pk), {"post": "yes"}).status_code == 403
        before = list(model.objects.order_by("pk").values_list())
        if model not in SET_BY_PEOPLE:
            assert boss.post(_url(model, "change", first.pk), {"handler": "other"}).status_code == 403
        assert list(model.objects.order_by("pk").values_list()) == before


@pytest.fixture
def captured() -> Iterator[CaptureQueriesContext]:
    from django.db import connection

    with CaptureQueriesContext(connection) as queries:
        yield queries


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_lists_never_count_or_walk_a_whole_table(
    model: Any, boss: Client, rows: Batch, captured: CaptureQueriesContext
) -> None:
    captured.initial_queries = len(captured.captured_queries)
    assert boss.get(_url(model)).status_code == 200
    table = model._meta.db_table
    asked = [q["sql"] for q in captured.captured_queries if f'FROM "{table}"' in q["sql"]]
    assert asked
    for sql in asked:
        assert "LIMIT" in sql, sql
        assert "OFFSET" not in sql
        if "COUNT(" in sql:
            assert f"LIMIT {admin_base.COUNTED + 1})" in sql
        assert "JOIN" not in sql
    assert len(captured.captured_queries) < 15


def test_lists_page_without_the_long_texts(boss: Client, rows: Batch, captured: CaptureQueriesContext) -> None:
    boss.get(_url(Job))
    boss.get(_url(ArchivedJob))
    assert not [q["sql"] for q in captured.captured_queries if '"payload"' in q["sql"]]


def test_long_lists_are_estimated_and_their_pages_end(
    boss: Client, monkeypatch: pytest.MonkeyPatch, captured: CaptureQueriesContext
) -> None:
    monkeypatch.setattr(admin_base, "COUNTED", 200)
    make_queue(chunk_size=1_000)
    batch = enqueue_batch(do, [{}] * 1_500)
    first = boss.get(_url(Job))
    assert first.context["cl"].result_count >= 201
    assert first.context["cl"].paginator.num_pages == 2
    assert len(first.context["cl"].result_list) == 100
    assert boss.get(_url(Job), {"p": "2"}).status_code == 200
    assert boss.get(_url(Job), {"p": "3"}).status_code == 302
    assert boss.get(_url(Job), {"all": ""}).context["cl"].result_list.count() <= 100
    assert all(int(found) <= 200 for q in captured for found in re.findall(r"OFFSET (\d+)", q["sql"]))
    assert batch.last_job_id is not None
    deep = boss.get(_url(Job), {"q": f"<{batch.last_job_id - 1_000}"})
    assert deep.context["cl"].result_list[0].pk == batch.last_job_id - 1_001


def test_search_is_by_exact_id_or_name(boss: Client, rows: Batch) -> None:
    def found(model: Any, term: str) -> list[Any]:
        return [row.pk for row in boss.get(_url(model), {"q": term}).context["cl"].result_list]

    assert found(Batch, str(rows.pk)) == [rows.pk]
    assert found(Batch, "all sorts") == [rows.pk]
    assert found(Batch, "all") == []
    assert found(Job, "99999999999999999999") == []
    assert found(Job, "x'; --") == []
    assert found(Queue, "tested") == [Queue.objects.get().pk]
    dead = DeadLetter.objects.get()
    assert found(DeadLetter, f" {dead.pk} ") == [dead.pk]
    assert found(Worker, Worker.objects.get().name) == [Worker.objects.get().pk]


def test_a_long_payload_is_cut(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_base, "TEXT_SHOWN", 40)
    make_queue()
    job = enqueue(do, {"text": "a" * 50 + "the end"})
    body = boss.get(_url(Job, "change", job)).content.decode()
    assert "the end" not in body
    assert "(68 characters in all)" in body


POLICY = {
    "handler": "tested.do",
    "default_priority": "2",
    "acknowledge": "per_job",
    "boundaries": "fixed",
    "chunk_size": "200",
    "run_size": "1000",
    "run_start": "50",
    "run_least": "10",
    "run_target": "5",
    "payload_rules": "{}",
    "concurrency": "1",
    "max_attempts": "3",
    "backoff": "exponential",
    "backoff_base": "1",
    "backoff_cap": "60",
    "jitter": "0.25",
    "archive_after": "3600",
    "purge_after": "86400",
}


def test_a_queue_is_changed_with_slots_and_audit(boss: Client) -> None:
    queue = make_queue()
    response = boss.post(
        _url(Queue, "change", queue.pk), {**POLICY, "name": "other", "max_runs": "3", "max_attempts": "7"}
    )
    assert response.status_code == 302
    queue.refresh_from_db()
    assert (queue.name, queue.max_runs, queue.max_attempts) == ("tested", 3, 7)
    assert queue.queueslot_set.count() == 3
    entry = AuditEntry.deeds().get()
    assert (entry.actor, entry.source, entry.action, entry.target) == ("boss", "admin", "change queue", "tested")
    assert entry.outcome["changed"]["max_attempts"] == [3, 7]
    assert entry.outcome["changed"]["max_runs"] == [None, 3]
    boss.post(_url(Queue, "change", queue.pk), {**POLICY, "max_runs": "1"})
    assert queue.queueslot_set.count() == 1


def test_a_queue_is_created(boss: Client) -> None:
    assert boss.post(_url(Queue, "add"), {**POLICY, "name": "new", "max_runs": "2"}).status_code == 302
    assert Queue.objects.get(name="new").queueslot_set.count() == 2
    assert AuditEntry.deeds().get().action == "create queue"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"flush_jobs": "1001"}, "flush_jobs"),
        ({"flush_bytes": str(2**30)}, "flush_bytes"),
        ({"rate_burst": "5"}, "rate_burst"),
        ({"rate_limit": "0"}, "rate_limit"),
        ({"backoff_base": "100"}, "backoff_cap"),
        ({"jitter": "1.5"}, "jitter"),
        ({"timeout": "5", "concurrency": "4"}, "timeout"),
        ({"timeout": "0"}, "timeout"),
        ({"handler": "nobody.knows"}, "handler"),
        ({"purge_after": "1e15"}, "purge_after"),
        ({"chunk_size": "0"}, "chunk_size"),
        ({"boundaries": "anything"}, "boundaries"),
        ({"batch_threshold": "10001"}, "batch_threshold"),
        ({"run_target": "0"}, "run_target"),
        ({"run_start": "0"}, "run_start"),
        ({"settle_jobs": "10", "acknowledge": "all_or_nothing"}, "settle_jobs"),
        ({"settle_jobs": "10", "handler": "tested.all"}, "settle_jobs"),
        ({"payload_rules": '{"max_depth": 1000}'}, "payload_rules"),
        ({"payload_rules": "[]"}, "payload_rules"),
        ({"enqueue_rate": "0"}, "enqueue_rate"),
        ({"enqueue_burst": "5"}, "enqueue_burst"),
        ({"max_attempts": "x"}, "max_attempts"),
    ],
    ids=lambda value: str(value),
)
def test_a_policy_that_cannot_work_is_refused(boss: Client, changed: dict[str, str], field: str) -> None:
    queue = make_queue()
    before = Queue.objects.values().get(pk=queue.pk)
    response = boss.post(_url(Queue, "change", queue.pk), {**POLICY, **changed})
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert Queue.objects.values().get(pk=queue.pk) == before
    assert AuditEntry.deeds().count() == 0


def test_a_queues_page_recommends_sizes_by_what_was_measured(boss: Client, rows: Batch) -> None:
    queue = Queue.objects.get()
    body = boss.get(_url(Queue, "change", queue.pk)).content.decode()
    assert "tested.do: " in body and "so runs of 100-500 jobs" in body
    assert "no finished runs to judge by" in boss.get(_url(Queue, "add")).content.decode()


def test_sizes_rules_and_limits_are_changed(boss: Client) -> None:
    queue = make_queue("plain")
    changed = {
        **{"boundaries": "handler", "batch_threshold": "9", "settle_jobs": "100", "run_target": "2.5"},
        **{"payload_rules": '{"required": ["id"]}', "enqueue_rate": "5", "enqueue_burst": "50"},
    }
    assert boss.post(_url(Queue, "change", queue.pk), {**POLICY, **changed}).status_code == 302
    queue.refresh_from_db()
    assert (queue.boundaries, queue.batch_threshold, queue.settle_jobs, queue.run_target) == ("handler", 9, 100, 2.5)
    assert (queue.payload_rules, queue.enqueue_rate, queue.enqueue_burst) == ({"required": ["id"]}, 5.0, 50.0)


def test_pause_and_resume(boss: Client) -> None:
    queue = make_queue()
    assert "1 paused" in said(_act(boss, Queue, "pause", [queue.pk]))
    queue.refresh_from_db()
    assert queue.paused_by == "boss"
    assert "1 resumed" in said(_act(boss, Queue, "resume", [queue.pk]))
    assert "1 not: it is not paused" in said(_act(boss, Queue, "resume", [queue.pk]))
    assert list(AuditEntry.deeds().values_list("source", "action")) == [
        ("admin", "pause queue"),
        ("admin", "resume queue"),
    ]


def test_cancel_a_batch(boss: Client) -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 5)
    assert "1 cancelled" in said(_act(boss, Batch, "cancel", [batch.pk]))
    batch.refresh_from_db()
    assert (batch.state, batch.cancelled) == ("cancelled", 5)
    assert "1 not: it has ended" in said(_act(boss, Batch, "cancel", [batch.pk]))
    assert_sound()


def test_retry_and_delete_dead_letters(boss: Client) -> None:
    make_queue()
    enqueue_batch(do, [{"die": n} for n in range(3)])
    drain()
    dead = list(DeadLetter.objects.order_by("pk").values_list("pk", flat=True))
    assert "2 of 2 done" in said(_act(boss, DeadLetter, "retry", dead[:2]))
    assert "1 of 1 done" in said(_act(boss, DeadLetter, "delete", dead[2:]))
    assert DeadLetter.objects.count() == 0
    assert list(AuditEntry.deeds().filter(source="admin").values_list("source", "action", "target")) == [
        ("admin", "retry dead letters", "2 jobs"),
        ("admin", "delete dead letters", f"job {dead[2]}"),
    ]
    assert_sound()


def test_restore(boss: Client) -> None:
    make_queue()
    enqueue_batch(do, [{}] * 3)
    drain()
    archive()
    keys = list(ArchivedJob.objects.values_list("pk", flat=True)[:2])
    assert "2 of 2 done, done (2 restored)" in said(_act(boss, ArchivedJob, "restore", keys))
    assert (ArchivedJob.objects.count(), Job.objects.count()) == (1, 2)
    assert_sound()


def _staff(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("someone", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="queues", codename__in=codenames))
    client.force_login(user)
    return client


def test_viewers_look_but_cannot_act(client: Client, rows: Batch) -> None:
    viewer = _staff(client, "view_console")
    for model in MODELS:
        assert viewer.get(_url(model)).status_code == 200
    dead = DeadLetter.objects.get()
    _act(viewer, DeadLetter, "delete", [dead.pk])
    _act(viewer, Queue, "pause", [Queue.objects.get().pk])
    assert DeadLetter.objects.count() == 1
    assert Queue.objects.get().paused_at is None
    assert viewer.post(_url(Queue, "change", Queue.objects.get().pk), POLICY).status_code == 403


def test_staff_without_permission_sees_nothing(client: Client, rows: Batch) -> None:
    nobody = _staff(client)
    for model in MODELS:
        assert nobody.get(_url(model)).status_code == 403


def test_operators_act(client: Client, rows: Batch) -> None:
    operator = _staff(client, "view_console", "operate")
    dead = DeadLetter.objects.get()
    assert "1 of 1 done" in said(_act(operator, DeadLetter, "delete", [dead.pk]))
