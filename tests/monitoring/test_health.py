"""What supervisors and load balancers ask."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.views import health
from queues.selectors import clock, rings
from tests.queues.working import make_queue


def test_alive_needs_no_database(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"alive": True})


@pytest.mark.django_db
def test_ready_when_the_database_answers_and_is_migrated(client: Client) -> None:
    response = client.get("/readyz")
    said = response.json()
    assert (response.status_code, said["ready"]) == (200, True)
    assert {name: said["parts"][name] for name in health.NEEDED} == {"database": "ok", "migrations": "ok"}


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
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"] == {"database": "ok", "migrations": "are missing"}


@pytest.mark.django_db
def test_parts_without_which_the_console_is_still_of_use(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(scheduler: str = "", broker: str = "", workers: int = 1) -> health.Parts:
        monkeypatch.setattr(rings, "scheduler_problem", lambda _now: scheduler)
        monkeypatch.setattr(rings, "broker_problem", lambda _now: broker)
        monkeypatch.setattr(rings, "workers_alive", lambda _now: workers)
        found = [client.get(address) for address in ("/readyz", "/readyz?strict=1")]
        wrong = bool(scheduler or broker or not workers)
        assert [response.status_code for response in found] == [200, 503 if wrong else 200]
        assert found[0].json()["degraded"] is wrong
        parts: health.Parts = found[0].json()["parts"]
        return parts

    assert set(answer().values()) == {"ok"}
    assert answer(scheduler="has never rung")["scheduler"] == "has never rung"
    assert answer(broker="takes no messages for 1 queue")["broker"] == "takes no messages for 1 queue"
    assert answer(workers=0)["workers"] == "none is alive"


@pytest.mark.django_db
def test_what_the_rows_say_of_beat_broker_and_workers() -> None:
    now = clock.database_now()
    assert (rings.scheduler_problem(now), rings.broker_problem(now), rings.workers_alive(now)) == (
        "has never rung",
        "",
        0,
    )
    every = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.create(name="drive", task="t", interval=every, last_run_at=now - timedelta(minutes=20))
    assert rings.scheduler_problem(now) == "has not rung for 20 minutes"
    PeriodicTask.objects.update(last_run_at=now - timedelta(minutes=4))
    assert rings.scheduler_problem(now) == ""
    make_queue("mail", hint_failures=3, hint_failed_at=now)
    assert rings.broker_problem(now) == "takes no messages for 1 queue"


def test_a_database_that_hangs_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, asked = threading.Event(), []

    def hang() -> health.Parts:
        asked.append(1)
        let_go.wait(10)
        return {}

    monkeypatch.setattr(health, "_ask", hang)
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    check = health.Check()
    monkeypatch.setattr(health, "_check", lambda: check)
    started = time.monotonic()
    assert [client.get("/readyz").status_code for _ in range(3)] == [503] * 3
    assert time.monotonic() - started < 3
    assert len(asked) == 1, "those who ask meanwhile wait for the same answer"
    let_go.set()
