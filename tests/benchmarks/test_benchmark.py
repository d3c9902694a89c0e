"""The benchmark still works: every row is there and every count is right. How fast it was is not judged here."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import errors

from queues.benchmarks import bare
from queues.benchmarks.sizes import NAMES
from queues.models import Job, Queue
from tests.house.processes import PROJECT, running
from tests.waiting import wait_for

COMMAND = [sys.executable, "manage.py", "benchmark", "--quick"]


def scratch_databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'benchmark%'")
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture
def sigterm() -> Iterator[None]:
    """As it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_every_row_is_there_and_every_count_right(worker_env: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "--json"], cwd=PROJECT, env=worker_env, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    rows = answer["rows"]
    assert [row["scenario"] for row in rows] == [
        *("enqueue", "memory", "drain", "drain", "long", "singles", "failing", "snapshot", "snapshot"),
        *("claim", "claim", "claim", "claim", "latency", "latency"),
    ]
    assert {row["scenario"] for row in rows} == set(NAMES)
    for row in rows:
        assert row["correct"], row
        assert all(value > 0 for value in row["values"]), row
        assert len(row["values"]) == (1 if row["scenario"] == "latency" else answer["repetitions"])
        assert len(row["others"]) == len(row["ratios"]) in (0, answer["repetitions"])
    assert scratch_databases() == []
    assert not Job.objects.exists()
    assert not Queue.objects.exists()


def test_the_tables_of_the_guides_are_repeated(worker_env: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "--shape", "seeds", "--json"],
        cwd=PROJECT,
        env=worker_env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["scenario"] for row in rows] == ["messages"] * 3 + ["tasks"] * 2
    assert all(row["correct"] and row["bound"] is None for row in rows)
    assert [row["text"].partition("(guide: ")[2] for row in rows] == [
        *("88/s, 1 times)", "837/s, 9.5 times)", "3509/s, 40 times)", "0.4 s)", "22 s)")
    ]
    one, ten, fifty = (row["median"] for row in rows[:3])
    assert 1 < ten < fifty, "times as fast as one at a time"
    assert 0 < one <= 200, "5 ms for each message"


def test_an_interrupt_leaves_no_database(worker_env: dict[str, str]) -> None:
    with running([*COMMAND, "--only", "latency"], worker_env) as process:
        wait_for(scratch_databases, timeout=60, what="the scratch database")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert scratch_databases() == []


@pytest.mark.django_db
def test_it_refuses_where_no_database_can_be_created(monkeypatch: pytest.MonkeyPatch, sigterm: None) -> None:
    def refuse(address: str, name: str) -> None:
        raise errors.InsufficientPrivilege("permission denied to create database")

    monkeypatch.setattr(bare, "create_database", refuse)
    with pytest.raises(CommandError, match="permission denied to create database"):
        call_command("benchmark", "--quick")
