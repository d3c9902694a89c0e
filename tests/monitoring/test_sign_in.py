"""The door: who guesses waits, who may not is told why, and what fails can be found in the log."""

import logging
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from monitoring import request_ids, sign_in
from monitoring.views import overview

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def _try(client: Client, password: str, name: str = "ann", where: str = "/login/") -> int:
    return client.post(where, {"username": name, "password": password}).status_code


@pytest.mark.parametrize("where", ["/login/", "/admin/login/?next=/admin/"])
def test_who_guesses_a_password_waits(client: Client, where: str) -> None:
    User.objects.create_user("ann", password="right", is_staff=True)
    for _ in range(sign_in.OF_A_NAME):
        assert _try(client, "wrong", where=where) == 200
    response = client.post(where, {"username": "ANN", "password": "right"})
    assert "Too many wrong passwords" in response.content.decode(), "not even the right one, in whatever case"
    assert response.status_code == (429 if where == "/login/" else 200)
    other = Client(REMOTE_ADDR="192.0.2.9")
    assert _try(other, "right", where=where) == 302, "from elsewhere it is open"


def test_the_right_password_ends_the_counting(client: Client) -> None:
    User.objects.create_user("ann", password="right")
    for _ in range(sign_in.OF_A_NAME - 1):
        _try(client, "wrong")
    assert _try(client, "right") == 302
    client.logout()
    assert [_try(client, "wrong") for _ in range(sign_in.OF_A_NAME - 1)] == [200] * (sign_in.OF_A_NAME - 1)
    assert _try(client, "right") == 302


def test_an_address_that_tries_many_names_waits(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "OF_AN_ADDRESS", 3)
    assert [_try(client, "wrong", f"n{number}") for number in range(3)] == [200, 200, 200]
    assert _try(client, "", "") == 429, "nothing typed does not begin the counting anew"
    assert _try(client, "wrong", "n4") == 429


def test_a_refusal_names_the_right_the_group_and_who_can_give_it(
    client: Client, signed_in: Callable[[str], Client]
) -> None:
    User.objects.create_superuser("boss", password="x")
    response = signed_in("viewer").post("/queues/x/pause/")
    text = response.content.decode()
    assert response.status_code == 403
    assert all(word in text for word in ("queues.operate", "operators", "<b>viewer</b>", "ask <b>boss</b>"))
    client.force_login(User.objects.create_user("nobody"))
    text = client.get("/").content.decode()
    assert "queues.view_console" in text
    assert "boss" not in text, "names are for those who may look"


def test_a_failure_has_a_name_that_is_in_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(User.objects.create_superuser("boss", password="x"))
    client.raise_request_exception = False

    def fail(*_given: object, **_named: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(overview, "show", fail)
    names = request_ids.NamesRequest()
    caplog.handler.addFilter(names)
    try:
        response = client.get("/", headers={"X-Request-ID": "proxy-12345"})
    finally:
        caplog.handler.removeFilter(names)
    assert (response.status_code, response["X-Request-ID"]) == (500, "proxy-12345")
    assert "<code>proxy-12345</code>" in response.content.decode()
    assert [line.request_name for line in caplog.records if line.name == "django.request"] == [" [proxy-12345]"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["", "short", "no spaces here", "x" * 65, "<script>alert</script>"])
def test_an_odd_name_of_a_request_is_replaced(client: Client, given: str) -> None:
    found = client.get("/login/", headers={"X-Request-ID": given})["X-Request-ID"]
    assert request_ids.GIVEN.fullmatch(found)
    assert found != given


def test_a_line_outside_of_a_request_has_no_name() -> None:
    record = logging.LogRecord("queues", logging.INFO, "", 0, "text", None, None)
    request_ids.NamesRequest().filter(record)
    assert record.request_name == ""  # type: ignore[attr-defined]
