"""The lists of jobs and of the archive on a million chunks: by which index they go, and how little they touch."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from queues import store
from queues.domain.states import JobState
from queues.selectors import archived_jobs, job_detail, job_history, job_lists, job_totals
from queues.selectors.archived_jobs import ArchivedQuery
from queues.selectors.clock import database_now
from queues.selectors.job_lists import JobQuery, Place
from queues.services.preview import preview
from queues.services.selection import Selection
from tests.plans.conftest import World
from tests.plans.plan import LARGE, Plan

pytestmark = pytest.mark.django_db
SELECTS = ("SELECT", "(SELECT")


def plans(read: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans of all queries that a reading makes, Django's and those of the store."""
    own: list[tuple[str, dict[str, Any]]] = []
    rows = store.rows

    def noted(name: str, /, **values: Any) -> list[Any]:
        own.append((name, values))
        return rows(name, **values)

    monkeypatch.setattr(store, "rows", noted)
    with CaptureQueriesContext(connection) as captured:
        read()
    monkeypatch.setattr(store, "rows", rows)
    found = [Plan.of(name, **values) for name, values in own if name == "job_list"]
    for query in captured.captured_queries:
        if query["sql"].startswith(SELECTS) and "set_config" not in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query["sql"].replace("%", "%%"), [])
                found.append(Plan(cursor.fetchone()[0]))
    assert found
    return found


# What of each list is read of the large tables by one statement of its first page, and by which index.
LISTS: dict[str, tuple[Callable[[World], JobQuery], str, int]] = {
    "all": (lambda world: JobQuery(), "chunk_created", 25_000),
    "all of a queue": (lambda world: JobQuery(queue="queue-3"), "chunk_created", 2_500),
    "waiting": (lambda world: JobQuery(state="waiting"), "chunk_claim", 25_000),
    "scheduled": (lambda world: JobQuery(state="scheduled"), "chunk_claim", 25_000),
    "retrying": (lambda world: JobQuery(state="retrying"), "chunk_claim", 60_000),
    "held": (lambda world: JobQuery(state="held"), "chunk_held", 25_000),
    "pending": (lambda world: JobQuery(state="pending"), "chunk_claim", 25_000),
    "pending of a batch": (lambda world: JobQuery(batch=world.batch, state="pending"), "chunk_batch", 2_500),
    "running": (lambda world: JobQuery(state="running"), "chunk_leased", 25_000),
    "succeeded": (lambda world: JobQuery(state="succeeded"), "chunk_to_archive", 25_000),
    "cancelled": (lambda world: JobQuery(state="cancelled"), "chunk_to_archive", 25_000),
    "trashed": (lambda world: JobQuery(state="trashed"), "chunk_trash", 2_500),
    "a batch": (lambda world: JobQuery(batch=world.batch), "chunk_batch", 2_500),
    "waiting of a batch": (lambda world: JobQuery(batch=world.batch, state="waiting"), "chunk_batch", 2_500),
    "a time": (
        lambda world: JobQuery(since=timezone.now() - timedelta(days=3), until=timezone.now() - timedelta(days=2)),
        "chunk_created",
        25_000,
    ),
    "payload in a batch": (
        lambda world: JobQuery(batch=world.batch, payload=("n", "1000000000")),
        "chunk_batch",
        2_500,
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_goes_by_its_index_and_reads_no_table_whole(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, index, rows = LISTS[name]
    query = make(world)
    used = set()
    for plan in plans(lambda: job_lists.job_page(query), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        used |= plan.indexes("queues_chunk")
        assert plan.rows <= rows
    assert index in used


@pytest.mark.parametrize("state", ["", "pending", *JobState])
def test_a_page_far_down_costs_no_more_than_the_first(
    world: World, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = int((timezone.now() - timedelta(days=15)).timestamp() * 1_000_000)
    place = Place(long_ago, 500_000, 100_000_000)
    for plan in plans(lambda: job_lists.job_page(JobQuery(state=state), before=place), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        assert plan.rows <= 60_000


@pytest.mark.parametrize("state", ["", "pending", *JobState])
def test_a_total_is_bounded(world: World, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0.0
    for plan in plans(lambda: job_totals.job_total(JobQuery(state=state)), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        read += plan.rows
    assert read <= 25_000


@pytest.mark.parametrize("query", [JobQuery(state="dead"), JobQuery(state="dead", queue="queue-3")])
def test_dead_jobs_are_found_by_their_letters(world: World, query: JobQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()
    for plan in plans(lambda: job_lists.job_page(query), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        used |= plan.indexes("queues_deadletter")
        assert plan.rows <= 21_000
    assert used & {"dead_died_at", "dead_queue"}


def test_one_job_is_found_by_its_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 123_456

    def read() -> None:
        found = job_detail.job(number)
        assert found is not None
        job_detail.payload(number)
        job_history.history(found, job_detail.runs(found), [], job_history.deeds(number), None)

    for plan in plans(read, monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        assert plan.rows <= 200


def test_the_archive_is_walked_by_queue_and_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store.row("set_partition", number=80, size=5_000_000, before="", kept=[])
    store.run("create_partition")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO queues_archivedjob (id, batch_id, chunk_id, queue_id, handler, priority, outcome, payload,"
            " enqueued_at, finished_at) SELECT 400000000 + n, n / 100, n, 1 + n % 20, 'plans.nothing', 2, 'succeeded',"
            " '{}', now(), now() - n * interval '1 second' FROM generate_series(1, 200000) n"
        )
        cursor.execute("ANALYZE queues_archivedjob")
    table = "queues_archivedjob_p80"
    sifted = (ArchivedQuery(payload=("n", "1"), queue="queue-3"), ArchivedQuery(handler="no.such"))
    for query in (ArchivedQuery(), ArchivedQuery(queue="queue-3"), ArchivedQuery(batch=7), *sifted):
        for plan in plans(lambda query=query: archived_jobs.archived_page(query), monkeypatch):  # type: ignore[misc]
            assert "" not in plan.indexes(table)
            assert plan.pages < 5_000
    # All that match a filter, counted before they are restored.
    lately = (database_now() - timedelta(minutes=10)).isoformat()
    for selection in ({"queue": "queue-3", "since": lately}, {"batch": 7}, {"since": lately, "outcome": "succeeded"}):
        for plan in plans(lambda given=selection: preview(action="unarchive", selection=given), monkeypatch):  # type: ignore[misc]
            assert "" not in plan.indexes(table), selection
            assert plan.pages < 5_000


@pytest.mark.parametrize("given", [{"all": True}, {"queue": "queue-3"}, {"batch": 100}, {"since": "2026-01-01T00:00Z"}])
def test_cancelled_jobs_are_counted_and_frozen_by_indexes(
    world: World, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = {**given, "state": "cancelled"}
    for plan in plans(lambda: preview(action="retry", selection=selection), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
    kept: list[dict[str, Any]] = []

    def noted(name: str, /, **values: Any) -> int:
        kept.append(values)
        return 0

    monkeypatch.setattr(store, "run", noted)
    Selection({**selection, "until": database_now().isoformat()}, state="dead").freeze(operation=1)
    monkeypatch.undo()
    plan = Plan.of("freeze_cancelled", **kept[0])
    assert plan.indexes("queues_job") <= {"job_own_state", "queues_job_pkey"}
    assert plan.indexes("queues_chunk") <= {"chunk_batch", "chunk_to_archive", "queues_chunk_pkey"}


def test_a_span_of_what_waits_is_frozen_by_its_due_times(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = database_now()
    span = {"since": (now - timedelta(hours=12)).isoformat(), "before": (now - timedelta(hours=11)).isoformat()}
    selection = {"state": "waiting", "queue": "queue-3", **span}
    for plan in plans(lambda: preview(action="cancel", selection=selection), monkeypatch):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
    kept: list[dict[str, Any]] = []

    def noted(name: str, /, **values: Any) -> int:
        kept.append(values)
        return 0

    monkeypatch.setattr(store, "run", noted)
    Selection({**selection, "until": now.isoformat()}, state="pending").freeze(operation=1)
    monkeypatch.undo()
    plan = Plan.of("freeze_pending", **kept[0])
    assert plan.indexes("queues_job") <= {"queues_job_pkey"}
    assert plan.indexes("queues_chunk") <= {"chunk_claim", "chunk_held"}
