"""What the tests of the console share: people, and a console that remembers nothing of another test."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from monitoring.frame import HEALTH
from monitoring.history import HISTORY
from monitoring.metrics import PAGE
from monitoring.ranges import RANGES
from monitoring.snapshot import SHARED
from monitoring.totals import TOTALS

ROLES = {
    "stranger": [],
    "viewer": ["view_console"],
    "operator": ["view_console", "operate"],
    "administrator": ["view_console", "operate", "empty_trash"],
}


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Nothing that a web process remembers between two readings outlives a test."""
    for memory in (HEALTH, HISTORY, SHARED, PAGE, RANGES, TOTALS):
        memory.clear()
    yield
    for memory in (HEALTH, HISTORY, SHARED, PAGE, RANGES, TOTALS):
        memory.clear()


@pytest.fixture
def person() -> Callable[[str], User]:
    """Makes a user of a role."""

    def make(role: str) -> User:
        user = User.objects.create_user(role, password="secret")
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="queues", codename__in=ROLES[role]))
        return user

    return make


@pytest.fixture
def signed_in(person: Callable[[str], User]) -> Callable[[str], Client]:
    """A browser in which somebody of a role is signed in; `nobody` is not."""

    def make(role: str) -> Client:
        client = Client()
        if role != "nobody":
            client.force_login(person(role))
        return client

    return make
