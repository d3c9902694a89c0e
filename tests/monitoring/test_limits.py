"""A page that would read for long: each statement has a limit, what runs into it says so, the rest is shown."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from monitoring import panels
from monitoring.history import HISTORY
from monitoring.snapshot import SHARED
from queues.models import DeadLetter
from queues.selectors import clock
from tests.monitoring.worlds import ran_batch, waiting_batch

pytestmark = pytest.mark.django_db(transaction=True)
Lock = Callable[[str], AbstractContextManager[None]]
SAID = "took longer than 0.15 s"


@pytest.fixture
def locked(database_url: str, settings: Any) -> Lock:
    """Keeps all others from reading a table, as long as it takes."""
    settings.CONSOLE_STATEMENT_MS = 150

    @contextmanager
    def lock(table: str) -> Iterator[None]:
        HISTORY.clear()
        SHARED.clear()
        with psycopg.connect(database_url) as other:
            other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
            other.rollback()

    return lock


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def limit_now() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return str(answer.content.decode())


def test_a_panel_that_takes_too_long_says_so_and_the_others_are_shown(operator: Client, locked: Lock) -> None:
    waiting_batch(5, name="Next mailing")
    with locked("queues_run"):
        shown = page(operator, "/")
    assert shown.count(SAID) == 4, "each panel that reads runs"
    assert "Filter by queue, state or batch" in shown
    assert "Next mailing" in shown
    assert SAID not in page(operator, "/")


def test_a_polled_panel_is_answered(operator: Client, locked: Lock) -> None:
    with locked("queues_run"):
        shown = page(operator, "/panels/queues/")
    assert SAID in shown
    assert 'id="panel-queues"' in shown
    assert "hx-swap-oob" not in shown
    assert SAID not in page(operator, "/panels/queues/")


@pytest.mark.parametrize(("url", "table"), [("/batches/", "queues_chunk"), ("/dead-letters/", "queues_deadletter")])
def test_a_list_that_takes_too_long_keeps_its_filter(operator: Client, locked: Lock, url: str, table: str) -> None:
    ran_batch(succeed=1, die=1)
    waiting_batch(2)
    with locked(table):
        shown = page(operator, f"{url}?queue=tested")
    assert f"Reading this list {SAID}" in shown
    assert "<option selected>tested</option>" in shown
    assert SAID not in page(operator, f"{url}?queue=tested")


@pytest.mark.parametrize("url", ["/dead-letters/{}/", "/dead-letters/retry/?job={}", "/dead-letters/{}/payload.json"])
def test_a_page_without_a_part_to_leave_out_says_that_it_takes_too_long(
    operator: Client, locked: Lock, url: str
) -> None:
    ran_batch(die=1)
    wanted = url.format(DeadLetter.objects.get().pk)
    with locked("queues_deadletter"):
        answer = operator.get(wanted)
    assert answer.status_code == 503
    assert "This took too long" in answer.content.decode()
    page(operator, wanted)


def test_the_limit_ends_with_the_page(operator: Client, locked: Lock) -> None:
    page(operator, "/")
    with locked("queues_run"):
        page(operator, "/")
    assert limit_now() == "0"


def test_a_tighter_limit_gives_the_wider_one_back() -> None:
    with clock.bounded(3):
        with clock.bounded(0.5):
            assert limit_now() == "500ms"
        assert limit_now() == "3s"
    assert limit_now() == "0"


def test_a_panel_that_fails_is_named_in_the_log_and_the_others_are_shown(
    operator: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran_batch(die=1)

    def broken(ask: Any) -> dict[str, Any]:
        raise RuntimeError("no such figure")

    monkeypatch.setitem(panels.PANELS, "dead-summary", replace(panels.PANELS["dead-summary"], context=broken))
    answer = operator.get("/dead-letters/", headers={"X-Request-ID": "abcd1234"})
    shown = answer.content.decode()
    assert answer.status_code == 200
    assert "<b>Dead summary</b> This part of the page could not be read" in shown
    assert "Try again" in shown
    assert "Request <code>abcd1234</code>" in shown
    assert "data-row" in shown
    assert answer["X-Request-ID"] == "abcd1234"
    assert "panel dead-summary could not be read" in caplog.text
