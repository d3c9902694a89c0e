"""The frame of every page: counts, health, the label of the installation, times of one's own, the prefix."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_script_prefix, reverse, set_script_prefix
from django.utils import timezone

from batchconsole import asgi
from batchconsole.environment import env_choice, env_label, env_path
from monitoring import panels, spans
from monitoring.frame import HEALTH, Count
from monitoring.live import Reader
from monitoring.models import MetricPoint
from monitoring.panels import Topic
from monitoring.snapshot import SHARED, Snapshot
from queues.models import Operation, Queue
from queues.services.pause import pause_queue
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]


# Counts, health, label -----------------------------------------------------------------------------------------


def counts(shown: str) -> dict[str, str]:
    return dict(re.findall(r'data-count="([\w-]+)"[^>]*>([^<]*)<', shown))


def test_the_rail_counts_what_goes_on_and_what_waits_for_a_person(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    assert counts(viewer.get("/help/").content.decode()) == dict.fromkeys(
        ("batches", "dead-letters", "queues", "operations"), ""
    )
    ran_batch(die=2)
    waiting_batch(2)
    Operation.objects.create(action="retry", selection={"queue": "tested"}, actor="ann", source="page")
    pause_queue(name="tested", actor="ann", source="api", reason="")
    SHARED.clear()
    shown = viewer.get("/help/").content.decode()
    assert counts(shown) == {"batches": "1", "dead-letters": "2", "queues": "1 paused", "operations": "1"}
    assert "2 dead letters for a person" in shown
    assert "1 operation in progress" in shown


@pytest.mark.parametrize(("number", "text"), [(0, ""), (7, "7"), (999, "999"), (1_234, "1.2k"), (10_001, "10k+")])
def test_a_count_is_short(number: int, text: str) -> None:
    assert Count("batches", number, "").text == text


def test_pages_within_ten_seconds_share_one_reading(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    viewer.get("/help/")
    waiting_batch(1)
    with CaptureQueriesContext(connection) as queries:
        shown = viewer.get("/help/").content.decode()
    assert counts(shown)["batches"] == ""
    assert not [query for query in queries.captured_queries if "queues_" in query["sql"] and "COUNT" in query["sql"]]


def test_the_health_of_the_overview_is_told_on_every_page(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    assert "is-unknown" in viewer.get("/help/").content.decode()
    make_queue()
    Queue.objects.update(paused_at=timezone.now() - timedelta(hours=3))
    waiting_batch(2)
    viewer.get("/")
    shown = viewer.get("/help/").content.decode()
    assert "health is-warning" in shown or "health is-problem" in shown
    assert "/#panel-attention" in shown
    assert HEALTH.last(timezone.now()) is not None


def test_the_panel_of_the_frame_finds_out_by_itself(signed_in: SignedIn) -> None:
    shown = signed_in("viewer").get("/panels/frame/").content.decode()
    assert "is-unknown" not in shown
    assert 'data-count-of="dead-letters"' in shown


def test_the_installation_is_named_in_words_and_colour(signed_in: SignedIn, settings: Any) -> None:
    viewer = signed_in("viewer")
    assert "environment" not in viewer.get("/help/").content.decode()
    settings.CONSOLE_ENVIRONMENT, settings.CONSOLE_ENVIRONMENT_COLOUR = "<b>prod", "red"
    shown = viewer.get("/help/").content.decode()
    assert 'class="environment is-red"' in shown
    assert "&lt;b&gt;prod" in shown


def test_wrong_settings_of_the_frame_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "pink")
    with pytest.raises(ImproperlyConfigured, match="ONE must be one of red, grey"):
        env_choice("ONE", "grey", ("red", "grey"))
    monkeypatch.setenv("ONE", "x" * 25)
    with pytest.raises(ImproperlyConfigured, match="at most 24"):
        env_label("ONE", 24)
    monkeypatch.setenv("ONE", "jobs")
    with pytest.raises(ImproperlyConfigured, match="a path such as /jobs"):
        env_path("ONE")
    monkeypatch.setenv("ONE", "/tools/jobs/")
    assert env_path("ONE") == "/tools/jobs"


def test_help_tells_who_may_do_what(signed_in: SignedIn) -> None:
    shown = signed_in("operator").get("/help/").content.decode()
    assert "operator: may look and act" in shown
    for words in ("Every 2, 5, 15 s", "Local, UTC", "Administrator", "Search everything"):
        assert words in shown


def test_dead_letters_open_by_cause(signed_in: SignedIn) -> None:
    ran_batch(die=1)
    shown = signed_in("viewer").get("/").content.decode()
    assert f'href="{reverse("causes")}" data-go="d f"' in shown.replace(' aria-current="page"', "")


# A time of one's own -------------------------------------------------------------------------------------------


def point(ago: timedelta, succeeded: int) -> None:
    minute = (timezone.now() - ago).replace(second=0, microsecond=0)
    zeros = dict.fromkeys(("runs", "claimed", "failed", "retried", "dead", "bytes"), 0)
    MetricPoint.objects.create(queue=Queue.objects.get(), minute=minute, succeeded=succeeded, **zeros)


@pytest.mark.parametrize("page", ["/", "/queues/tested/"])
def test_charts_show_a_time_of_ones_own(page: str, signed_in: SignedIn) -> None:
    make_queue()
    point(timedelta(hours=5), 70_001)
    point(timedelta(minutes=30), 500_003)
    viewer = signed_in("viewer")
    shown = viewer.get(f"{page}?from=6h&to=4h").content.decode()
    assert "70,001" in shown
    assert "500,003" not in shown
    both = viewer.get(f"{page}?from=6h").content.decode()
    assert "570,004" in both
    assert 'value="6h"' in both


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("from=yesterday", "From: write so long ago"),
        ("from=2h&to=soon", "To: write so long ago"),
        ("to=2h", "From: say since when"),
        ("from=1h&to=2h", "To: it must be later than From"),
        ("from=2999-01-01", "From: this has not begun yet"),
        ("from=90d", "From: figures are kept for 30 days"),
        ("from=%00%00x", "From: write so long ago"),
    ],
)
def test_a_time_that_makes_no_sense_is_told(asked: str, words: str, signed_in: SignedIn) -> None:
    make_queue()
    viewer = signed_in("viewer")
    for page in ("/", "/queues/tested/"):
        response = viewer.get(f"{page}?{asked}")
        assert response.status_code == 200
        assert words in response.content.decode()


def test_a_socket_knows_a_time_of_ones_own_without_the_database() -> None:
    name = spans.chosen({"from": "6h", "to": "4h"}).window.name

    async def admit() -> tuple[Topic, Topic]:
        return panels.topic("throughput", name, False), panels.topic("queue-flow", f"tested {name}", False)

    first, second = async_to_sync(admit)()
    assert (first.subject, second.subject) == (name, f"tested {name}")


@pytest.mark.parametrize("subject", ["20260131T1400-", "99999999T9999-", "20260131T1400-20250131T1400", "x", "-"])
def test_a_panel_asked_for_a_time_by_hand_answers(subject: str, signed_in: SignedIn) -> None:
    make_queue()
    viewer = signed_in("viewer")
    assert viewer.get("/panels/throughput/", {"subject": subject}).status_code == 200
    assert viewer.get("/panels/queue-flow/", {"subject": f"tested {subject}"}).status_code == 200


# Below a path --------------------------------------------------------------------------------------------------


@pytest.fixture
def below(settings: Any) -> Any:
    before = get_script_prefix()
    settings.FORCE_SCRIPT_NAME = "/tools/jobs"
    set_script_prefix("/tools/jobs")  # as the real servers do for each request
    yield
    set_script_prefix(before)


def test_every_link_of_a_page_is_below_the_prefix(below: None, signed_in: SignedIn) -> None:
    waiting_batch(1)
    viewer = signed_in("operator")
    for page in ("/", "/batches/", "/jobs/", "/help/", "/search/?q=x"):
        shown = viewer.get(page).content.decode()
        links = re.findall(r'(?:href|action|hx-get|ws-connect)="(/[^"]*)"', shown)
        assert len(links) > 10
        assert [one for one in links if not one.startswith(("/tools/jobs/", "/static/"))] == [], page
    assert Client().get("/batches/")["Location"].startswith("/tools/jobs/login/")


@pytest.mark.django_db(transaction=True)
def test_what_is_pushed_links_below_the_prefix_as_well(below: None) -> None:
    waiting_batch(1)
    set_script_prefix("/")  # as it is in a thread of the hub's own
    pushed = Reader().read([Topic("frame", "", False), Topic("in-progress", "", False)])
    links = [link for html in pushed.values() for link in re.findall(r'(?:href|hx-get)="(/[^"]*)"', html)]
    assert links
    assert [one for one in links if not one.startswith("/tools/jobs/")] == []


@pytest.mark.parametrize(
    ("path", "root"), [("/tools/jobs/live/", "/tools/jobs"), ("/live/", ""), ("/tools/jobsish/live/", "")]
)
def test_a_socket_is_found_below_the_prefix(path: str, root: str) -> None:
    seen: list[dict[str, Any]] = []

    async def sockets(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "websocket", "path": path, "root_path": ""}
    async_to_sync(asgi.below("/tools/jobs", sockets))(scope, None, None)
    assert seen[0]["root_path"] == root


def test_a_panel_that_cannot_be_read_leaves_the_rail(signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.limits.attempt", lambda read: None)
    shown = signed_in("viewer").get("/help/").content.decode()
    assert reverse("batches") in shown
    assert counts(shown)["batches"] == ""


def test_the_frame_is_one_topic_for_all() -> None:
    assert panels.topic("frame", "anything", False) == Topic("frame", "", False)
    assert panels.render(Topic("frame", "", False), Snapshot()).count("<data") == 4
