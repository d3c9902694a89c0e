"""Webhooks: written with the change, signed, tried again, given up, and never sent to where they must not go."""

import hashlib
import hmac
import json
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from queues import delivery, outgoing
from queues.domain.webhooks import EVENTS
from queues.models import AuditEntry, Chunk, DeadLetter, Job, Queue, Webhook
from queues.services import pause, webhooks
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.webhooks import WebhookRefused
from tests.checker import assert_sound
from tests.house.processes import python, running
from tests.queues.commanding import command
from tests.queues.receiver import Receiver, receiving
from tests.queues.working import do, drain, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
WHO = {"actor": "anna", "source": "api"}


@pytest.fixture
def private(settings: Any) -> None:
    """Addresses of this machine are allowed."""
    settings.WEBHOOK_PRIVATE = True


def hook(url: str, *events: str, name: str = "ops", queue: str | None = None, **policy: Any) -> Webhook:
    row = webhooks.add(name=name, url=url, events=events or list(EVENTS), queue=queue, **WHO)
    Queue.objects.filter(name="webhooks").update(**{"backoff_base": 0, "jitter": 0, **policy})
    return row


def owed() -> int:
    """Deliveries that wait."""
    sizes = Chunk.objects.filter(queue__name="webhooks", state="ready").values_list("size", flat=True)
    return sum(sizes)


def deliver() -> None:
    drain("webhooks")


def told(receiver: Receiver) -> list[tuple[str, Any]]:
    """Event and data of what came, by delivery."""
    found = [json.loads(post.body) for post in receiver.posts]
    return [(one["event"], one["data"]) for one in sorted(found, key=lambda one: int(one["id"]))]


@pytest.mark.usefixtures("private")
def test_each_event_is_delivered_with_a_signature_that_fits() -> None:
    make_queue()
    with receiving() as receiver:
        row = hook(f"{receiver.url}/in?to=ops")
        batch = enqueue_batch(do, [{}, {"die": "badly"}], name="letters")
        drain()
        pause.pause_queue(name="tested", actor="anna", source="api", reason="why not")
        pause.resume_queue(name="tested", actor="anna", source="api")
        assert owed() == 5
        deliver()
    events = told(receiver)
    assert [event for event, _data in events] == [
        "batch.enqueued",
        "job.dead",
        "batch.finished",
        "queue.paused",
        "queue.resumed",
    ]
    assert (events[0][1]["batch"], events[0][1]["total"], events[2][1]["state"]) == (batch.pk, 2, "partial")
    letter = DeadLetter.objects.get()
    assert (events[1][1]["job"], events[1][1]["reason"], "payload" in events[1][1]) == (letter.pk, letter.reason, False)
    assert events[3][1] == {"queue": "tested", "by": "anna", "reason": "why not", "until": None}
    for post in receiver.posts:
        stamp, body = post.headers["X-Batchconsole-Timestamp"], json.loads(post.body)
        right = hmac.new(webhooks.secret(row).encode(), f"{stamp}.".encode() + post.body, hashlib.sha256).hexdigest()
        assert post.headers["X-Batchconsole-Signature"] == f"sha256={right}"
        assert abs(int(stamp) - time.time()) < 60
        assert (post.headers["X-Batchconsole-Event"], post.headers["X-Batchconsole-Delivery"]) == (
            body["event"],
            body["id"],
        )
        assert (post.path, post.headers["Content-Type"]) == ("/in?to=ops", "application/json")
        assert body["occurred_at"].endswith("Z")
    row.refresh_from_db()
    assert row.last_status.startswith("200 in ")
    assert owed() == 0
    assert_sound()


@pytest.mark.usefixtures("private")
def test_a_delivery_exists_if_and_only_if_the_event_does() -> None:
    make_queue()
    hook("http://127.0.0.1:9/")
    with pytest.raises(RuntimeError), transaction.atomic():
        enqueue_batch(do, [{}])
        assert owed() == 1
        raise RuntimeError
    assert (owed(), Job.objects.count()) == (0, 0)
    enqueue(do, {})  # a job that is enqueued singly is no event
    assert owed() == 0
    Webhook.objects.update(enabled=False)
    enqueue_batch(do, [{}])
    assert owed() == 0
    Webhook.objects.update(enabled=True)
    enqueue_batch(do, [{}])
    assert owed() == 1


@pytest.mark.usefixtures("private")
def test_only_wanted_events_of_the_wanted_queue_are_delivered() -> None:
    make_queue()
    make_queue("other")
    hook("http://127.0.0.1:9/a", "batch.enqueued", name="all")
    hook("http://127.0.0.1:9/b", "batch.enqueued", name="one", queue="other")
    enqueue_batch(do, [{}])
    assert owed() == 1
    enqueue_batch(do, [{}], queue="other")
    assert owed() == 3


@pytest.mark.usefixtures("private")
def test_a_receiver_that_fails_twice_gets_the_same_delivery_again() -> None:
    make_queue()
    with receiving(500, 408, 204) as receiver:
        hook(receiver.url, "batch.enqueued")
        enqueue_batch(do, [{}])
        deliver()
    ids = {post.headers["X-Batchconsole-Delivery"] for post in receiver.posts}
    assert (len(receiver.posts), len(ids)) == (3, 1)
    assert (owed(), DeadLetter.objects.count()) == (0, 0)
    assert Webhook.objects.get().last_status.startswith("204 in ")
    assert_sound()


@pytest.mark.usefixtures("private")
def test_what_is_given_up_is_a_dead_letter_and_tells_no_webhook_of_it() -> None:
    make_queue()
    with receiving(503) as receiver:
        hook(receiver.url, max_attempts=4)
        enqueue_batch(do, [{}])
        deliver()
    letter = DeadLetter.objects.get()
    assert (len(receiver.posts), letter.attempts, letter.reason, owed()) == (4, 4, "out of attempts", 0)
    assert letter.message.startswith("503 in ")


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("status", [410, 404, 400])
def test_an_answer_that_will_not_change_ends_the_delivery_at_once(status: int) -> None:
    make_queue()
    with receiving(status) as receiver:
        hook(receiver.url)
        enqueue_batch(do, [{}])
        deliver()
    assert (len(receiver.posts), DeadLetter.objects.get().reason) == (1, "rejected by its handler")


@pytest.mark.usefixtures("private")
def test_a_redirect_is_not_followed() -> None:
    make_queue()
    with receiving() as elsewhere, receiving((302, {"Location": elsewhere.url}, b"")) as receiver:
        hook(receiver.url)
        enqueue_batch(do, [{}])
        deliver()
    assert (len(receiver.posts), len(elsewhere.posts)) == (1, 0)
    assert DeadLetter.objects.get().message.startswith("302 in ")


@pytest.mark.usefixtures("private")
def test_a_receiver_that_asks_to_be_left_alone_is_and_spends_no_attempt() -> None:
    make_queue()
    with receiving((429, {"Retry-After": "120"}, b"slow down")) as receiver:
        hook(receiver.url, max_attempts=1)
        enqueue_batch(do, [{}])
        deliver()
    chunk = Chunk.objects.get(queue__name="webhooks", state="ready")
    assert timedelta(seconds=100) < chunk.run_at - timezone.now() <= timedelta(seconds=120)
    assert (len(receiver.posts), DeadLetter.objects.count()) == (1, 0)


def test_asking_for_ever_ends_in_attempts() -> None:
    long_ago = (timezone.now() - timedelta(hours=7)).isoformat()
    answer = outgoing.Answer(429, "", 60.0, 1.0)
    with pytest.raises(delivery.Fail):
        delivery._judge(answer, long_ago)


@pytest.mark.usefixtures("private")
def test_what_is_owed_to_a_webhook_that_is_gone_or_off_is_cancelled() -> None:
    make_queue()
    with receiving() as receiver:
        hook(receiver.url, name="gone")
        hook(receiver.url, name="off")
        enqueue_batch(do, [{}])
        Webhook.objects.filter(name="off").update(enabled=False)
        webhooks.remove(name="gone", **WHO)
        deliver()
    assert (receiver.posts, owed(), DeadLetter.objects.count()) == ([], 0, 0)
    assert sum(Chunk.objects.filter(queue__name="webhooks").values_list("cancelled", flat=True)) == 2


@pytest.mark.usefixtures("private")
def test_an_answer_without_end_takes_neither_all_time_nor_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 0.5)
    with receiving((200, {}, b"x" * 5_000_000)) as large:
        answer = delivery.test(hook(large.url, name="large"))
    assert (answer.good, len(answer.text) <= outgoing.SHOWN) == (True, True)
    with receiving() as slow:
        slow.holding = True
        row, started = hook(slow.url, name="slow"), time.monotonic()
        with pytest.raises(delivery.DeliveryError, match=r"no answer within 0\.5 s"):
            delivery.test(row)
        assert time.monotonic() - started < 5


@pytest.mark.usefixtures("private")
def test_nobody_there_is_a_failed_try() -> None:
    make_queue()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, but nobody listens
        hook(f"http://127.0.0.1:{held.getsockname()[1]}/", max_attempts=2)
        enqueue_batch(do, [{}])
        deliver()
    letter = DeadLetter.objects.get()
    assert (letter.attempts, "cannot be connected to" in letter.message) == (2, True)


# Where deliveries must not go


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1/", "not a public address"),
        ("http://[::1]/", "not a public address"),
        ("http://[::ffff:10.0.0.1]/", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://10.1.2.3:8443/in", "not a public address"),
        ("http://localhost/", "which is not public"),
        ("http://2130706433/", "which is not public"),
        ("https://anna:secret@example.com/", "no user or password"),
        ("ftp://example.com/", "only http:// and https://"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("https:///in", "the host is missing"),
        ("https://example.com/#part", "never reaches a server"),
        ("https://example.com/a b", "plain characters"),
        ("https://exämple.com/", "plain characters"),
        ("https://example.com:99999/", "no URL"),
        ("https://example.com/" + "x" * 2_000, "at most 2,000"),
    ],
)
def test_an_address_that_must_not_be_is_refused_where_it_is_set(url: str, said: str) -> None:
    with pytest.raises(WebhookRefused, match="url: ") as refused:
        hook(url)
    assert said in str(refused.value)
    assert not Webhook.objects.exists()


def test_a_name_that_has_become_private_is_refused_when_it_is_connected_to() -> None:
    make_queue()
    with receiving() as receiver:
        row = hook("https://1.1.1.1/")
        # As if a name had stood for a public address when it was set.
        port = receiver.url.rpartition(":")[2]
        Webhook.objects.filter(pk=row.pk).update(url=f"http://localhost:{port}/")
        enqueue_batch(do, [{}])
        deliver()
    letter = DeadLetter.objects.get()
    assert (receiver.posts, letter.reason) == ([], "rejected by its handler")
    assert "which is not a public address" in letter.message


def test_other_flaws_are_named() -> None:
    make_queue()
    for wrong, said in (
        ({"name": "a\nb"}, "name: 1 to 200 letters"),
        ({"events": ["batch.exploded"]}, "events: unknown: 'batch.exploded'"),
        ({"events": []}, "events: at least one of"),
        ({"queue": "nowhere"}, "unknown queue 'nowhere'"),
    ):
        values: dict[str, Any] = {"name": "ops", "url": "https://1.1.1.1/", "events": ["job.dead"], **wrong}
        with pytest.raises(WebhookRefused, match=said):
            webhooks.add(**values, **WHO)
    hook("https://1.1.1.1/")
    with pytest.raises(WebhookRefused, match="already exists"):
        hook("https://1.1.1.1/")


# The command and the admin


def test_the_command(private: None) -> None:
    with receiving(200, 500) as receiver:
        added = command("webhooks", "add", "ops", receiver.url, "--event", "job.dead", "--json")
        assert (added.code, added.document["events"], added.document["queue"]) == (0, ["job.dead"], None)
        secret = command("webhooks", "secret", "ops").out.strip()
        assert secret == webhooks.secret(Webhook.objects.get()) and len(secret) == 64
        assert secret not in json.dumps(list(Webhook.objects.values()), default=str)
        first, second = command("webhooks", "test", "ops", "--json"), command("webhooks", "test", "ops")
    assert (first.code, first.document["taken"]) == (0, True)
    assert (second.code, "answers 500" in second.out) == (1, True)
    assert json.loads(receiver.posts[0].body)["event"] == "webhook.test"
    assert command("webhooks", "test", "ops").code == 1
    assert "ops" in command("webhooks", "list").out
    assert [one["webhook"] for one in command("webhooks", "list", "--json").document] == ["ops"]
    assert command("webhooks", "remove", "ops").code == 0
    gone = command("webhooks", "remove", "ops")
    assert (gone.code, gone.err) == (1, "unknown webhook 'ops'")
    assert command("webhooks", "list").out.startswith("no webhooks")
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"add webhook", "remove webhook"}


def test_the_admin_validates_and_shows_the_key_to_those_who_may_change_it(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss", password="x"))
    values = {"name": "ops", "url": "http://10.0.0.1/", "events": ["job.dead", "batch.finished"], "enabled": "on"}
    refused = client.post(reverse("admin:queues_webhook_add"), values)
    assert "is not a public address" in refused.content.decode()
    saved = client.post(reverse("admin:queues_webhook_add"), {**values, "url": "https://1.1.1.1/in"})
    assert saved.status_code == 302, saved.content.decode()
    row = Webhook.objects.get()
    assert (row.events, row.created_by, len(row.salt)) == (["job.dead", "batch.finished"], "boss", 32)
    assert Queue.objects.filter(name="webhooks").exists()
    page = reverse("admin:queues_webhook_change", args=[row.pk])
    assert webhooks.secret(row) in client.get(page).content.decode()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_console"))
    client.force_login(viewer)
    seen = client.get(page)
    assert (seen.status_code, webhooks.secret(row) in seen.content.decode()) == (200, False)
    client.force_login(User.objects.get(username="boss"))
    client.post(reverse("admin:queues_webhook_delete", args=[row.pk]), {"post": "yes"})
    assert not Webhook.objects.exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["add webhook", "remove webhook"]


# Deaths of processes


ENQUEUE_AND_DIE = """
import os, signal, sys
import django
django.setup()
from queues.services.enqueue import enqueue_batch
enqueue_batch("queues.unreadable_message", [{"reason": "x"}], queue="tested")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_right_after_the_commit_the_delivery_is_made_by_another_process(
    private: None, worker_env: dict[str, str]
) -> None:
    make_queue()
    env = worker_env | {"BATCHCONSOLE_WEBHOOK_PRIVATE": "1"}
    with receiving() as receiver:
        hook(receiver.url, "batch.enqueued")
        with running(python("-c", ENQUEUE_AND_DIE), env) as victim:
            assert victim.wait(30) == -9
        assert owed() == 1
        with running(python("manage.py", "work", "--queue", "webhooks", "--burst"), env) as work:
            assert work.wait(60) == 0
    assert [event for event, _data in told(receiver)] == ["batch.enqueued"]
    assert_sound()


def test_killed_while_it_delivers_the_same_delivery_comes_again(private: None, worker_env: dict[str, str]) -> None:
    make_queue()
    env = worker_env | {"BATCHCONSOLE_WEBHOOK_PRIVATE": "1"}
    with receiving() as receiver:
        hook(receiver.url, "batch.enqueued")
        enqueue_batch(do, [{}])
        receiver.holding = True
        with running(python("manage.py", "work", "--queue", "webhooks"), env) as victim:
            wait_for(lambda: receiver.posts, 30, "the first delivery")
            victim.kill()
            victim.wait(10)
        receiver.holding = False
        receiver.hold.set()
        with running(python("manage.py", "work", "--queue", "webhooks", "--burst"), env) as work:
            assert work.wait(60) == 0
    ids = {post.headers["X-Batchconsole-Delivery"] for post in receiver.posts}
    assert (len(receiver.posts), len(ids), owed()) == (2, 1, 0)
    assert_sound()


def test_every_event_is_in_the_documents() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/events.md").read_text()
    assert {event for event in EVENTS if f"`{event}`" not in text} == set()
