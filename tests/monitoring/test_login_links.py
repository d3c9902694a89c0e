"""The link from the terminal: one use, by one person, for a short time."""

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from monitoring.login_links import consume_login_link, create_login_link, remember_address
from monitoring.models import LoginLink

BASE = "http://127.0.0.1:8000"


def token_of(link: str) -> str:
    assert link.startswith(f"{BASE}/login/link/#")
    return link.split("#")[1]


@pytest.mark.django_db
def test_the_first_link_makes_a_superuser_without_password() -> None:
    create_login_link(BASE)
    user = User.objects.get()
    assert user.is_superuser
    assert not user.has_usable_password()
    create_login_link(BASE)
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_name_that_is_taken_is_not_promoted() -> None:
    User.objects.create_user("admin")
    create_login_link(BASE)
    assert not User.objects.get(username="admin").is_superuser
    assert User.objects.filter(is_superuser=True).count() == 1


@pytest.mark.django_db
def test_only_the_hash_is_kept() -> None:
    token = token_of(create_login_link(BASE))
    assert len(token) == 64
    assert LoginLink.objects.get().token_hash == hashlib.sha256(token.encode()).hexdigest()


@pytest.mark.django_db
def test_opening_the_link_uses_nothing_up_and_the_button_signs_in() -> None:
    token = token_of(create_login_link(BASE))
    client = Client()
    for _ in range(2):
        assert client.get("/login/link/").status_code == 200
    response = client.post("/login/link/", {"token": token})
    assert response.status_code == 302
    assert response["Location"] == "/"
    assert response["Referrer-Policy"] == "no-referrer"
    assert client.get("/").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("spoil", ["use", "expire", "mistype", "deactivate"])
def test_a_link_that_is_no_good_says_how_to_get_another(spoil: str) -> None:
    token = token_of(create_login_link(BASE))
    if spoil == "use":
        assert consume_login_link(token)
    if spoil == "expire":
        LoginLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    if spoil == "mistype":
        token = token[:-1]
    if spoil == "deactivate":
        User.objects.update(is_active=False)
    response = Client().post("/login/link/", {"token": token})
    assert response.status_code == 410
    assert "manage.py loginlink" in response.content.decode()
    assert token not in response.content.decode()


@pytest.mark.django_db
def test_posting_needs_the_form_of_this_site() -> None:
    token = token_of(create_login_link(BASE))
    assert Client(enforce_csrf_checks=True).post("/login/link/", {"token": token}).status_code == 403
    assert consume_login_link(token)


@pytest.mark.django_db(transaction=True)
def test_of_many_that_post_at_once_one_gets_in() -> None:
    token = token_of(create_login_link(BASE))
    barrier = threading.Barrier(8)

    def consume(_: int) -> bool:
        barrier.wait()
        try:
            return consume_login_link(token) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(consume, range(8))) == 1


@pytest.mark.django_db
def test_the_command_prints_a_link_for_whom_it_is_told() -> None:
    User.objects.create_user("maria")
    out = io.StringIO()
    call_command("loginlink", "--base-url", BASE, "--user", "maria", stdout=out)
    user = consume_login_link(token_of(out.getvalue().strip()))
    assert user is not None
    assert user.username == "maria"
    with pytest.raises(CommandError, match="nobody"):
        call_command("loginlink", "--user", "nobody")


@pytest.mark.django_db
def test_links_long_past_are_removed() -> None:
    create_login_link(BASE)
    LoginLink.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    create_login_link(BASE)
    assert LoginLink.objects.count() == 1


@pytest.mark.django_db
def test_a_link_leads_to_where_the_console_was_started(settings: Any, tmp_path: Path) -> None:
    settings.HOME = tmp_path
    out = io.StringIO()
    call_command("loginlink", stdout=out)
    assert out.getvalue().startswith(f"{BASE}/login/link/#")
    remember_address("http://127.0.0.1:8123")
    again = io.StringIO()
    call_command("loginlink", stdout=again)
    assert again.getvalue().startswith("http://127.0.0.1:8123/login/link/#")
