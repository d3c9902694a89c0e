"""What pages show, and what hostile content cannot do to them."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from queues.models import Attempt, Batch, DeadLetter, Queue
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from tests.monitoring.worlds import assert_harmless, ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db

HOSTILE = '<script>alert("x")</script>\x1b[31mred\u202e{{ 7|add:7 }}' + "long" * 2_000


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


def test_an_empty_console_says_what_to_do_next(operator: Client) -> None:
    for url in ("/", "/batches/"):
        assert "manage.py demo" in page(operator, url)
    assert "No dead letters" in page(operator, "/dead-letters/")
    assert "matches this filter" in page(operator, "/dead-letters/?queue=none")
    assert "matches this filter" in page(operator, "/batches/?name=none")


def test_the_overview_shows_what_is_going_on(operator: Client) -> None:
    ran_batch(succeed=6, die=2)
    waiting_batch(4, name="Next mailing")
    shown = page(operator, "/")
    assert "Next mailing" in shown
    assert "75.00 %" in shown
    assert 'id="tile-dead"' in shown
    assert reverse("queue-pause", args=["tested"]) in shown


def test_a_viewer_is_offered_no_deed(signed_in: Callable[[str], Client]) -> None:
    batch = ran_batch(die=1)
    letter = DeadLetter.objects.get()
    viewer = signed_in("viewer")
    for url in ("/", f"/batches/{batch.pk}/", "/dead-letters/", f"/dead-letters/{letter.pk}/"):
        shown = page(viewer, url)
        for deed in ("/pause/", "/retry/", "/delete/", "/cancel/"):
            assert deed not in shown, (url, deed)


def test_a_paused_queue_says_by_whom_and_why(operator: Client) -> None:
    make_queue()
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    shown = page(operator, "/")
    assert "paused" in shown
    assert "maria" in shown
    assert "moving house" in shown


def test_numbers_of_a_payload_are_shown_digit_by_digit(operator: Client) -> None:
    make_queue(max_attempts=1)
    big = 12345678901234567890123
    enqueue_batch("tested.do", [{"fail": 1, "id": big, "share": 0.1}])
    drain()
    letter = DeadLetter.objects.get()
    assert str(big) in page(operator, f"/dead-letters/{letter.pk}/")
    download = operator.get(f"/dead-letters/{letter.pk}/payload.json")
    assert str(big) in download.content.decode()
    assert download["Content-Disposition"].startswith("attachment")


def test_each_try_is_shown_with_its_traceback(operator: Client) -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    enqueue_batch("tested.do", [{"fail": "twice"}])
    drain()
    drain()
    shown = page(operator, f"/dead-letters/{DeadLetter.objects.get().pk}/")
    assert shown.count("Traceback of try") == Attempt.objects.count() == 2
    assert "asked to fail: twice" in shown
    assert "2 like this" not in shown


def spoil(batch: Batch) -> DeadLetter:
    letter = DeadLetter.objects.get()
    Batch.objects.update(name=HOSTILE[:200], metadata={HOSTILE[:60]: HOSTILE}, created_by=HOSTILE[:60])
    DeadLetter.objects.update(message=HOSTILE, error_class=HOSTILE[:90])
    Attempt.objects.update(message=HOSTILE, traceback=HOSTILE, error_class=HOSTILE[:90])
    Queue.objects.update(pause_reason=HOSTILE[:200], paused_by=HOSTILE[:60], paused_at=letter.died_at)
    return letter


def test_hostile_text_is_harmless_on_every_page(operator: Client) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"fail": HOSTILE}])
    drain()
    letter = spoil(batch)
    pages = (
        "/",
        "/batches/",
        f"/batches/{batch.pk}/",
        f"/batches/?name={HOSTILE[:60]}",
        "/dead-letters/",
        f"/dead-letters/?cause={HOSTILE[:60]}&queue={HOSTILE[:60]}&batch={HOSTILE[:60]}",
        f"/dead-letters/{letter.pk}/",
        f"/dead-letters/retry/?job={letter.pk}&next={HOSTILE[:60]}",
        f"/dead-letters/delete/?all=1&cause={HOSTILE[:60]}",
        f"/panels/batch-causes/?subject={batch.pk}",
        f"/panels/dead-news/?subject=queue={HOSTILE[:60]}",
    )
    for url in pages:
        shown = page(operator, url)
        assert_harmless(shown, url)
        assert len(shown) < 200_000, url


@pytest.mark.parametrize(
    "url",
    [
        "/batches/?before=x&after=99999999999999999999999&state=%00",
        "/dead-letters/?before=1&after=zz&batch=-1",
        "/dead-letters/?batch=99999999999999999999999",
        "/dead-letters/?queue=%F0%9F%8E%89&cause=%27%22",
    ],
)
def test_addresses_made_up_by_hand_are_answered(operator: Client, url: str) -> None:
    page(operator, url)


@pytest.mark.parametrize(
    "url",
    [
        "/batches/999999999/",
        "/dead-letters/999999999/",
        "/dead-letters/999999999/payload.json",
        "/queues/none/pause/",
        "/panels/none/",
        "/panels/batch-progress/?subject=x",
        "/panels/batch-progress/?subject=404",
        "/nowhere/",
        "/batches/99999999999999999999999999/",
    ],
)
def test_what_is_not_there_is_a_page_that_helps(operator: Client, url: str) -> None:
    response = operator.get(url)
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert response["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_null_byte_in_a_filter_is_no_error(operator: Client) -> None:
    page(operator, "/batches/?name=a%00b")
    page(operator, "/dead-letters/?cause=a%00b&queue=%00")


def test_the_page_that_failed_needs_nothing_to_be_shown() -> None:
    from django.template.loader import render_to_string

    assert "This page failed" in render_to_string("500.html")


def test_a_page_is_kept_out_of_caches(operator: Client) -> None:
    assert operator.get("/")["Cache-Control"] == "no-store, private"


def test_static_files_are_sent_and_remembered(client: Client) -> None:
    first = client.get("/static/js/live.js")
    assert first.status_code == 200
    assert b"wsReconnectDelay" in first.content
    assert first["Content-Type"].startswith("text/javascript")
    again = client.get("/static/js/live.js", headers={"If-Modified-Since": first["Last-Modified"]})
    assert again.status_code == 304
    assert client.get("/static/django_htmx/ext/hx-ws-2.min.js").status_code == 200


def test_a_list_tells_what_is_newer_than_its_top(operator: Client) -> None:
    ran_batch(die=2)
    shown = page(operator, "/dead-letters/")
    top = shown.split('data-top="')[1].split('"')[0]
    keys = page(operator, "/panels/dead-news/").split('data-keys value="')[1].split('"')[0].split()
    assert [key for key in keys if key > top] == []
    ran_batch(die=3)
    keys = page(operator, "/panels/dead-news/").split('data-keys value="')[1].split('"')[0].split()
    assert len([key for key in keys if key > top]) in (0, 3)
