"""What supervisors and load balancers ask."""

import threading
import time

import pytest
from django.db import OperationalError
from django.test import Client

from monitoring.views import health


def test_alive_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_ready_when_the_database_answers_and_is_migrated(client: Client) -> None:
    assert client.get("/readyz").status_code == 200


def test_not_ready_without_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: object) -> None:
        raise OperationalError("no route")

    monkeypatch.setattr(health, "MigrationExecutor", refuse)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"cannot be reached" in response.content
    assert b"no route" not in response.content


def test_not_ready_while_migrations_are_missing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Behind:
        def __init__(self, connection: object) -> None:
            self.loader = self.graph = self

        def leaf_nodes(self) -> list[str]:
            return []

        def migration_plan(self, nodes: object) -> list[str]:
            return ["one"]

    monkeypatch.setattr(health, "MigrationExecutor", Behind)
    assert b"migrations are missing" in client.get("/readyz").content


def test_a_database_that_hangs_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        let_go.wait(10)
        return ""

    monkeypatch.setattr(health, "_ask", hang)
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    check = health.Check()
    monkeypatch.setattr(health, "_check", lambda: check)
    started = time.monotonic()
    assert [client.get("/readyz").status_code for _ in range(3)] == [503] * 3
    assert time.monotonic() - started < 3
    assert len(asked) == 1, "those who ask meanwhile wait for the same answer"
    let_go.set()
