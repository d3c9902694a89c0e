"""The benchmark of pages still works: every page is requested and answers. How fast it was is not judged here."""

import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from monitoring.benchmarks import addresses
from monitoring.benchmarks.pages import BOUND, Timing
from queues.benchmarks import scans
from queues.models import Job
from tests.benchmarks.test_benchmark import scratch_databases
from tests.house.processes import PROJECT
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import make_queue

COMMAND = [sys.executable, "manage.py", "benchmark", "--pages", "--quick", "--repeat", "1", "--json"]


def test_every_page_is_requested_and_answers(worker_env: dict[str, str]) -> None:
    done = subprocess.run(
        COMMAND, cwd=PROJECT, env=worker_env, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout[-2_000:]
    answer = json.loads(done.stdout)
    assert answer["bound"] == BOUND == 300
    assert (answer["facts"]["rows of jobs"], answer["facts"]["rows of the archive"]) == (12_020, 49_950)
    rows = {row["name"]: row for row in answer["rows"]}
    routes = {name.partition("?")[0].partition(" ")[0] for name in rows}
    assert {route for route, _ in addresses._routes()} == routes
    assert all(row["answered"] and row["median"] > 0 for row in rows.values())
    assert "jobs?state=dead" in rows
    assert scratch_databases() == []
    assert not Job.objects.exists()


def test_some_pages_only_have_a_command_of_their_own() -> None:
    with pytest.raises(CommandError, match="benchmark_pages --only"):
        call_command("benchmark", "--pages", "--only", "drain")


@pytest.mark.django_db
def test_a_table_that_is_read_whole_is_found_with_its_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    waiting_batch(3)
    monkeypatch.setattr(scans, "LARGE", -1)
    with scans.watched() as found:
        assert Job.objects.filter(failures=0).count() == 3
    assert [text.partition(" FROM ")[0] for text in found["queues_job"]] == ['SELECT COUNT(*) AS "__count"']
    with scans.watched() as found:
        assert Job.objects.filter(pk=Job.objects.latest("pk").pk).order_by("pk").first()
    assert scans.of_jobs("queues_job")
    assert scans.of_jobs("queues_archivedjob_p3")
    assert not scans.of_jobs("queues_jobkey")


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ({}, True),
        ({"p95": 301.0}, False),
        ({"status": 500}, False),
        ({"slow": True}, False),
        ({"scans": {"queues_job": []}}, False),
        ({"scans": {"queues_batch": []}}, True),
    ],
)
def test_a_page_passes_when_it_is_whole_in_time_and_scans_no_jobs(values: dict[str, object], passed: bool) -> None:
    fine: dict[str, object] = {"name": "p", "status": 200, "median": 9.0, "p95": 20.0, "slow": False, "bytes": 1}
    assert Timing(**{**fine, **values}).passed is passed  # type: ignore[arg-type]
