"""Roles: three groups, what they may, and pages that say what to ask for."""

from collections.abc import Callable
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def groups() -> None:
    """The groups as a new database has them."""
    Group.objects.all().delete()
    with connection.schema_editor(atomic=False) as editor:
        import_module("monitoring.migrations.0002_groups").create_groups(apps, editor)
        import_module("monitoring.migrations.0004_administrators").create_group(apps, editor)


def member(name: str, *, staff: bool = False) -> Client:
    user = User.objects.create_user(name, is_staff=staff)
    user.groups.add(Group.objects.get(name=name))
    client = Client()
    client.force_login(user)
    return client


def test_administrators_hold_all_that_operators_hold_and_more(groups: None) -> None:
    held = {
        group.name: set(group.permissions.values_list("content_type__app_label", "codename"))
        for group in Group.objects.all()
    }
    assert set(held) == {"viewers", "operators", "administrators"}
    assert held["viewers"] < held["operators"] < held["administrators"]
    assert held["administrators"] - held["operators"] == {
        *(("queues", name) for name in ("empty_trash", "add_queue", "change_queue")),
        *(("auth", name) for name in ("add_user", "change_user", "view_user", "view_group")),
    }


def test_a_group_that_a_site_has_changed_is_left_alone(groups: None) -> None:
    Group.objects.get(name="administrators").permissions.clear()
    with connection.schema_editor(atomic=False) as editor:
        import_module("monitoring.migrations.0004_administrators").create_group(apps, editor)
    assert not Group.objects.get(name="administrators").permissions.exists()


def test_each_group_may_what_it_is_for(groups: None) -> None:
    make_queue()
    urls = ("/queues/", "/queues/tested/policy/", reverse("admin:auth_user_changelist"))
    answers = {
        name: tuple(client.get(url).status_code for url in urls)
        for name, client in {
            "viewers": member("viewers", staff=True),
            "operators": member("operators", staff=True),
            "administrators": member("administrators", staff=True),
        }.items()
    }
    assert answers == {"viewers": (200, 403, 403), "operators": (200, 200, 403), "administrators": (200, 200, 200)}


def test_a_stranger_is_told_what_to_ask_for(signed_in: Callable[[str], Client]) -> None:
    answer = signed_in("stranger").get("/queues/")
    shown = answer.content.decode()
    assert answer.status_code == 403
    for words in ("stranger", "viewers", "operators", "administrators", "Sign in as somebody else"):
        assert words in shown


def test_the_failure_page_says_when_and_what_next(
    signed_in: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in("viewer")
    client.raise_request_exception = False

    def broken(*_arguments: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("monitoring.views.workers.show", broken)
    answer = client.get("/workers/")
    assert answer.status_code == 500
    shown = answer.content.decode()
    assert "UTC" in shown
    assert "manage.py doctor" in shown
    assert "broken on purpose" not in shown


def test_the_help_lists_the_keys_of_the_pages(signed_in: Callable[[str], Client]) -> None:
    shown = signed_in("viewer").get("/help/").content.decode()
    for key, page in (("q", "Queues"), ("w", "Workers"), ("y", "Activity")):
        assert f"<dt><kbd>g</kbd> <kbd>{key}</kbd></dt><dd>{page}</dd>" in shown
