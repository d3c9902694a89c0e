"""Whatever is changed for a person leaves an entry: who, from where, what, to what. One row for each service."""

import importlib
import inspect
import io
import pkgutil
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from queues import services
from queues.models import AuditEntry, Batch, Operation, Queue, Recurring, Worker
from queues.services import (
    again,
    archive,
    audit,
    batch_pause,
    cancel,
    change_policy,
    control,
    delete,
    enqueue,
    link,
    operate,
    operate_batches,
    pause,
    recur,
    recurring,
    restore,
    submit,
    sync_queues,
    take_messages,
    upkeep,
    webhooks,
)
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
WHO: dict[str, Any] = {"actor": "ann", "source": "page"}
SILENT: dict[str, Any] = {"actor": "nobody", "source": "api"}
HOOK: dict[str, Any] = {"name": "hook", "url": "https://8.8.8.8/", "events": ["batch.finished"]}


def _ended() -> int:
    batch = enqueue.enqueue_batch("tested.do", [{}])
    drain()
    return batch.pk


def _dead() -> int:
    batch = enqueue.enqueue_batch("tested.do", [{"die": 1}])
    drain()
    return batch.pk


def _waiting(**more: Any) -> int:
    return enqueue.enqueue_batch("tested.do", [{}], **more).pk


def _held() -> int:
    batch = _waiting()
    batch_pause.pause_batch(batch_id=batch, **SILENT)
    return batch


def _trashed_batch() -> int:
    batch = _ended()
    delete.delete_batch(batch_id=batch, keep=timedelta(hours=1), **SILENT)
    return batch


def _worker(**facts: Any) -> uuid.UUID:
    told = {"name": "w", "host": "h", "machine": "m", "pid": 1, "process_started": 0, "version": "1", "state": "ready"}
    return Worker.objects.create(id=uuid.UUID(int=7), **{**told, **facts}).pk


def _deleted() -> int:
    return operate.start(action="delete_dead", selection={"batch": _dead()}, **SILENT).pk


def _change_policy() -> None:
    seen = change_policy.state_of(Queue.objects.get(name="tested"))
    change_policy.change_policy(name="tested", values={"max_attempts": "7"}, seen=seen, **WHO)


def _recurring(**who: Any) -> None:
    recurring.recurring("nightly", "tested.do", [{}], every=3_600, **(who or {"actor": "nobody"}))


def _archived() -> int:
    batch = _ended()
    archive.archive()
    return batch


# The service; what makes the ground and what is called on it; the entry that it leaves, `{0}` being the ground.
ROWS: list[tuple[str, Callable[[], Any], Callable[[Any], Any], str, str]] = [
    ("again.retry_batch", _ended, lambda b: again.retry_batch(b, "all", **WHO), "retry whole batch", "batch {0}"),
    ("batch_pause.pause_batch", _waiting, lambda b: batch_pause.pause_batch(batch_id=b, **WHO), "pause batch", "{b}"),
    ("batch_pause.resume_batch", _held, lambda b: batch_pause.resume_batch(batch_id=b, **WHO), "resume batch", "{b}"),
    ("cancel.cancel_batch", _waiting, lambda b: cancel.cancel_batch(batch_id=b, **WHO), "cancel batch", "{b}"),
    ("change_policy.change_policy", dict, lambda _: _change_policy(), "change queue", "tested"),
    ("control.suspend", _worker, lambda w: control.suspend(worker=w, **WHO), "suspend worker", "w ({0})"),
    (
        "control.resume",
        lambda: _worker(state="suspended"),
        lambda w: control.resume(worker=w, **WHO),
        "resume worker",
        "w ({0})",
    ),
    ("control.stop", _worker, lambda w: control.stop(worker=w, **WHO), "stop worker", "w ({0})"),
    (
        "control.reclaim",
        _worker,
        lambda w: control.reclaim(worker=w, force=True, **WHO),
        "reclaim worker",
        "w ({0})",
    ),
    ("delete.delete_batch", _ended, lambda b: delete.delete_batch(batch_id=b, **WHO), "delete batch", "{b}"),
    (
        "delete.restore_batch",
        _trashed_batch,
        lambda b: delete.restore_batch(batch_id=b, **WHO),
        "restore batch",
        "{b}",
    ),
    ("enqueue.seal", lambda: _waiting(open=True), lambda b: enqueue.seal(b, **WHO), "seal batch", "{b}"),
    (
        "link.link",
        lambda: (_waiting(), _waiting()),
        lambda two: link.link(*two, **WHO),
        "link batches",
        "batch {0[0]} before batch {0[1]}",
    ),
    (
        "operate.start",
        _dead,
        lambda b: operate.start(action="retry_dead", selection={"batch": b}, **WHO),
        "retry dead letters",
        "batch {0}",
    ),
    (
        "operate_batches.start",
        lambda: [_waiting(), _waiting()],
        lambda two: operate_batches.start(action="cancel_batches", batches=two, **WHO),
        "cancel batches",
        "2 batches",
    ),
    (
        "operate.undo",
        _deleted,
        lambda number: operate.undo(operation_id=number, **WHO),
        "restore deleted jobs",
        "trashed, operation {0}",
    ),
    (
        "operate.cancel_operation",
        lambda: Operation.objects.create(action="retry", state="running", total=1, actor="x", source="page").pk,
        lambda number: operate.cancel_operation(operation_id=number, **WHO),
        "stop operation",
        "operation {0}",
    ),
    ("pause.pause_queue", dict, lambda _: pause.pause_queue(name="tested", **WHO), "pause queue", "tested"),
    (
        "pause.resume_queue",
        lambda: pause.pause_queue(name="tested", **SILENT),
        lambda _: pause.resume_queue(name="tested", **WHO),
        "resume queue",
        "tested",
    ),
    (
        "recurring.recurring",
        dict,
        lambda _: _recurring(actor="ann", origin="page"),
        "add recurring",
        "recurring nightly",
    ),
    (
        "recurring.enable_recurring",
        _recurring,
        lambda _: recurring.enable_recurring(name="nightly", enabled=False, **WHO),
        "disable recurring",
        "recurring nightly",
    ),
    (
        "recurring.run_recurring",
        _recurring,
        lambda _: recurring.run_recurring(name="nightly", **WHO),
        "run recurring",
        "recurring nightly",
    ),
    (
        "recurring.remove_recurring",
        _recurring,
        lambda _: recurring.remove_recurring(name="nightly", **WHO),
        "remove recurring",
        "recurring nightly",
    ),
    ("restore.restore", _archived, lambda b: restore.restore(batch=b, **WHO), "restore jobs", "{b}"),
    (
        "submit.submit",
        dict,
        lambda _: submit.submit(stream=io.BytesIO(b"1\n"), form="jsonl", handler="tested.do", queue=None, **WHO).pk,
        "enqueue batch",
        "batch {made}",
    ),
    ("sync_queues.sync_queues", dict, lambda _: sync_queues.sync_queues(**WHO), "create queue", "webhooks"),
    (
        "upkeep.archive_all",
        _ended,
        lambda _: upkeep.archive_all(**WHO),
        "archive jobs",
        "what is past its time",
    ),
    ("upkeep.purge_all", dict, lambda _: upkeep.purge_all(**WHO), "purge", "what is past its time"),
    ("webhooks.add", dict, lambda _: webhooks.add(**HOOK, **WHO), "add webhook", "hook"),
    (
        "webhooks.remove",
        lambda: webhooks.add(**HOOK, **SILENT),
        lambda _: webhooks.remove(name="hook", **WHO),
        "remove webhook",
        "hook",
    ),
]
# These write the entry itself, or are the inner part of services that are listed.
WRITERS = {
    "audit.record",
    "audit.of_batch",
    "webhooks.noted",
    "operate.begin",
    "operate_batches.begin_undo",
    "cancel.cancel_within",
}
# It tells of what its callers are not asked for: that a batch has left the trash (tests/queues/test_delete_batch.py).
WRITERS |= {"reopen.reopen"}


@pytest.mark.parametrize(
    ("ground", "call", "action", "target"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_each_change_leaves_one_entry(
    ground: Callable[[], Any], call: Callable[[Any], Any], action: str, target: str
) -> None:
    make_queue(max_attempts=1)
    found = ground()
    before = AuditEntry.objects.latest("pk").pk if AuditEntry.objects.exists() else 0
    made = call(found)
    entries = AuditEntry.objects.filter(pk__gt=before, action=action)
    wanted = target.replace("{b}", f"batch {found}").format(found, made=made)
    assert [(one.actor, one.source) for one in entries if one.target == wanted] == [("ann", "page")], [
        (one.actor, one.action, one.target) for one in AuditEntry.objects.filter(pk__gt=before)
    ]


def test_no_service_that_is_told_who_asks_is_left_out() -> None:
    found = set()
    for module in pkgutil.iter_modules(services.__path__):
        loaded = importlib.import_module(f"{services.__name__}.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            told = function.__module__ == loaded.__name__ and "actor" in inspect.signature(function).parameters
            if told and not name.startswith("_"):
                found.add(f"{module.name}.{name}")
    assert found - WRITERS == {row[0] for row in ROWS}


def _made() -> list[tuple[Any, ...]]:
    entries = AuditEntry.objects.filter(
        action__in=("enqueue batch", "seal batch", "retry whole batch", "run recurring")
    )
    return list(entries.order_by("pk").values_list("actor", "source", "action", "target", "outcome"))


def test_a_batch_made_by_code_leaves_one_entry() -> None:
    make_queue()
    first = enqueue.enqueue_batch("tested.do", [1, 2], idempotency_key="once")
    assert enqueue.enqueue_batch("tested.do", [1, 2], idempotency_key="once") == first
    parent = enqueue.enqueue_batch("tested.do", range(10_001), split=True, created_by="import")
    with pytest.raises(enqueue.EnqueueError):
        enqueue.enqueue_batch("tested.do", [1, object()])
    assert enqueue.enqueue("tested.do", {}) is not None
    assert _made() == [
        ("code", "api", "enqueue batch", f"batch {first.pk}", {"queue": "tested", "jobs": 2}),
        ("import", "api", "enqueue batch", f"batch {parent.pk}", {"queue": "tested", "jobs": 10_001}),
    ]


def test_an_open_batch_is_told_when_it_is_made_and_when_it_is_sealed() -> None:
    make_queue()
    batch = enqueue.enqueue_batch("tested.do", [], open=True)
    assert enqueue.add_jobs(batch, [1, 2, 3]) == 3
    enqueue.seal(batch)
    assert _made() == [
        ("code", "api", "enqueue batch", f"batch {batch.pk}", {"queue": "tested", "jobs": 0}),
        ("code", "api", "seal batch", f"batch {batch.pk}", {"jobs": 3}),
    ]


def test_the_entry_is_rolled_back_with_the_batch() -> None:
    make_queue()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue.enqueue_batch("tested.do", [1])
        assert len(_made()) == 1
        raise ZeroDivisionError
    assert _made() == []


def test_whichever_face_makes_a_batch_there_is_one_entry_of_it() -> None:
    make_queue()
    file: dict[str, Any] = {"form": "jsonl", "handler": "tested.do", "queue": None, "idempotency_key": "file"}
    sent = [submit.submit(stream=io.BytesIO(b"1\n"), actor="ann", source="page", **file) for _ in range(2)]
    drain()
    again.retry_batch(sent[0], "all", **WHO)
    _recurring()
    recurring.run_recurring(name="nightly", **WHO)
    Recurring.objects.update(next_due_at=timezone.now() - timedelta(seconds=1))
    recur.recur()
    message = take_messages.Message("orders", 0, 0, None, b"{}", None)
    reader: dict[str, Any] = {
        "source": "kafka",
        "handler": "tested.do",
        "queue": "tested",
        "envelope": lambda _message: "{}",
    }
    take_messages.take_messages(messages=[message], expected={}, **reader)
    batches = list(Batch.objects.order_by("pk").values_list("pk", flat=True))
    told = [(actor, source, action) for actor, source, action, *_ in _made()]
    assert told == [
        ("ann", "page", "enqueue batch"),
        ("ann", "page", "retry whole batch"),
        ("ann", "page", "run recurring"),
        ("schedule", "system", "enqueue batch"),
        ("system", "system", "enqueue batch"),
    ]
    assert len(batches) == len(told)


def test_the_next_step_of_a_pipeline_is_made_by_the_system() -> None:
    make_queue(keep_results=3_600)
    first = enqueue.enqueue_batch("tested.do", [{"value": 1}], then="tested.do", created_by="ann")
    drain()
    made = Batch.objects.exclude(pk=first.pk).get()
    assert _made()[1:] == [("ann", "system", "enqueue batch", f"batch {made.pk}", {"queue": "tested", "jobs": 1})]


def test_what_beat_does_is_added_up_for_an_hour() -> None:
    make_queue()
    _ended()
    upkeep.archive()
    _ended()
    upkeep.archive()
    upkeep.archive()
    upkeep.purge()
    entry = AuditEntry.objects.get(source=audit.BEAT)
    assert (entry.actor, entry.action, entry.outcome["jobs"]) == ("system", "archive jobs", 2)


def test_people_and_groups_that_the_admin_changes(client: Client) -> None:
    boss = User.objects.create_superuser("boss", password="x")
    client.force_login(boss)
    client.post("/admin/auth/group/add/", {"name": "night shift"})
    group = Group.objects.get(name="night shift")
    client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "day shift"})
    client.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    told = [(one.actor, one.source, one.action, one.target, one.outcome) for one in AuditEntry.objects.order_by("pk")]
    assert told == [
        ("boss", "admin", "add group", "group night shift", {}),
        ("boss", "admin", "change group", "group day shift", {"fields": ["Name"]}),
        ("boss", "admin", "remove group", "group day shift", {}),
    ]
