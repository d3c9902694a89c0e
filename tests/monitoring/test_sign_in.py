"""The door: who guesses waits, who may not is told why, and what fails can be found in the log."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import F
from django.test import Client, RequestFactory

from batchconsole.environment import env_networks
from batchconsole.programs import programs
from monitoring import addresses, request_ids, sign_in
from monitoring.models import SignInTry
from monitoring.views import overview

pytestmark = pytest.mark.django_db


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


def test_all_web_processes_count_together_and_forget_in_time(client: Client) -> None:
    User.objects.create_user("ann", password="right")
    for _ in range(sign_in.OF_A_NAME):
        _try(client, "wrong")
        # What one process alone remembers is of no account.
        cache.clear()
    assert SignInTry.objects.count() == 2 * sign_in.OF_A_NAME
    assert not SignInTry.objects.filter(key__contains="ann").exists()
    assert _try(client, "right") == 429
    assert SignInTry.objects.count() == 2 * sign_in.OF_A_NAME, "who is refused does not wait for longer"
    SignInTry.objects.update(at=F("at") - timedelta(seconds=sign_in.SECONDS - 5))
    assert _try(client, "right") == 429
    SignInTry.objects.update(at=F("at") - timedelta(seconds=6))
    assert _try(client, "right") == 302
    assert not SignInTry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_tries_at_once_no_more_than_are_free_get_to_a_password() -> None:
    User.objects.create_user("ann", password="right")
    together = threading.Barrier(12)

    def guess(number: int) -> int:
        try:
            together.wait(20)
            return _try(Client(), f"wrong {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(guess, range(12)))
    assert set(answers) <= {200, 429}
    assert answers.count(200) <= sign_in.OF_A_NAME


def _from(peer: str, forwarded: str | None = None) -> Any:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return RequestFactory().get("/login/", headers=headers, REMOTE_ADDR=peer)


def test_a_header_that_nobody_vouches_for_gives_no_new_address(client: Client, settings: Any) -> None:
    assert settings.TRUSTED_PROXIES == []
    User.objects.create_user("ann", password="right")
    found = []
    for number in range(sign_in.OF_A_NAME + 1):
        # As the server in front hands it on: it believes whoever connects from this machine.
        headers = {"X-Forwarded-For": f"192.0.2.{number}"}
        given = {"username": "ann", "password": "wrong"}
        found.append(client.post("/login/", given, headers=headers, REMOTE_ADDR=f"192.0.2.{number}").status_code)
    assert found == [200] * sign_in.OF_A_NAME + [429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("10.0.0.5", None, "10.0.0.5"),
        ("10.0.0.5", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.5", "1.1.1.1, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.5", "1.1.1.1, 192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("10.0.0.5", "192.0.2.7:51234", "192.0.2.7"),
        ("10.0.0.5", "unknown", "unknown"),
        ("10.0.0.5", "10.1.0.1", "10.0.0.5"),
        ("192.0.2.7", "1.1.1.1", "192.0.2.7"),
        ("127.0.0.1", "1.1.1.1", "127.0.0.1"),
        ("10.0.0.5", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("10.0.0.5", "[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.5", "192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", None, "fe80::/64"),
        ("", "1.1.1.1", "127.0.0.1"),
    ],
)
def test_the_last_hop_that_is_no_proxy_of_ours_is_the_visitor(
    peer: str, forwarded: str | None, expected: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.5"), ip_network("10.1.0.0/16")]
    assert addresses.of(_from(peer, forwarded)) == expected


def test_the_proxies_of_a_site_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setenv("ONE", "10.0.0.5, 10.1.0.0/16,::1")
    assert list(map(str, env_networks("ONE"))) == ["10.0.0.5/32", "10.1.0.0/16", "::1/128"]
    for wrong in ("proxy.example", "10.0.0.5/8", "10.0.0.5;10.0.0.6"):
        monkeypatch.setenv("ONE", wrong)
        with pytest.raises(ImproperlyConfigured, match="ONE must be addresses or networks"):
            env_networks("ONE")
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.5"), ip_network("::1")]
    web = programs("127.0.0.1", 8000, 1)[0][0]
    assert "--forwarded-allow-ips=10.0.0.5/32,::1/128" in web.arguments


FORM = "http://testserver/queues/tested/pause/?next=/queues/"


@pytest.mark.parametrize(
    ("referer", "expected"),
    [
        (FORM, "/queues/tested/pause/?next=/queues/"),
        ("http://testserver/dead-letters/?q=%C3%A4#x", "/dead-letters/?q=%C3%A4"),
        ("https://evil.example/queues/tested/", "/"),
        ("http://testserver//evil.example/", "/"),
        ("http://testserver/login/?next=/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_a_form_that_comes_too_late_leads_back_to_its_page(
    client: Client, person: Callable[[str], User], referer: str, expected: str
) -> None:
    person("operator")
    answer = client.post("/queues/tested/pause/", {"reason": "x"}, headers={"Referer": referer} if referer else {})
    assert answer.status_code == 302
    where = urlsplit(answer["Location"])
    assert (where.path, parse_qs(where.query)) == ("/login/", {"next": [expected], "unsent": ["1"]})
    door = client.get(answer["Location"]).content.decode()
    assert "nothing was sent" in door
    given = {"username": "operator", "password": "secret", "next": expected}
    back = client.post(answer["Location"], given)
    assert (back.status_code, back["Location"]) == (302, expected)
    assert "nothing was sent" in client.get("/help/").content.decode()
    assert "nothing was sent" not in client.get("/help/").content.decode()


def test_a_page_that_is_asked_for_too_late_comes_after_the_sign_in(client: Client) -> None:
    for ask in (client.get, client.head):
        assert ask("/jobs/?state=dead")["Location"] == "/login/?next=/jobs/%3Fstate%3Ddead"


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
