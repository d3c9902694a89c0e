"""The console's live reading on a million chunks: no list is read whole, however long it is."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.snapshot import RATE_WINDOW, Snapshot
from queues.selectors import batch_lists, batch_work, dead_letters, figures, throughput
from queues.selectors.clock import database_now
from queues.services import unfinished
from tests.plans.conftest import World
from tests.plans.plan import LARGE, Plan

pytestmark = pytest.mark.django_db


def plans(read: Callable[[], Any]) -> list[Plan]:
    """The plans of all queries that a reading makes."""
    with CaptureQueriesContext(connection) as captured:
        read()
    found = []
    for query in captured.captured_queries:
        if query["sql"].startswith("SELECT") and "set_config" not in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query["sql"].replace("%", "%%"), [])
                found.append(Plan(cursor.fetchone()[0]))
    assert found
    return found


READINGS: dict[str, tuple[Callable[[World], Any], int]] = {
    "in progress": (lambda world: Snapshot().in_progress, 3_000),
    "one batch": (lambda world: Snapshot([world.batch]).batch(world.batch), 3_000),
    # Without the estimates, which read whole backlogs, but seldom and with a limit of time.
    "queues": (lambda world: figures.queue_figures(database_now()), 60_000),
    "running jobs": (lambda world: figures.running_jobs(), 600),
    "rates": (lambda world: throughput.rates(database_now(), RATE_WINDOW), 700),
    "workers": (lambda world: Snapshot().workers, 100),
    "series": (lambda world: Snapshot().series, 5_000),
    "batch list": (lambda world: batch_lists.batch_page(batch_lists.BatchQuery()), 1_000),
    "batch list of metadata": (
        lambda world: batch_lists.batch_page(batch_lists.BatchQuery(metadata=(("tenant", "acme"),))),
        1_000,
    ),
    "batch list of a standing": (lambda world: batch_lists.batch_page(batch_lists.BatchQuery(state="paused")), 1_000),
    "batch tallies": (lambda world: batch_lists.batch_tallies(batch_lists.BatchQuery()), 3_000),
    "runs of a batch": (lambda world: batch_work.batch_runs(world.batch), 3_000),
    "ends of a batch": (lambda world: batch_work.ended_by_time(world.batch, 60), 3_000),
    "why a batch goes on": (lambda world: unfinished.why(batch_id=world.batch, now=database_now()), 3_000),
    "batch list of a state": (lambda world: batch_lists.batch_page(batch_lists.BatchQuery(state="running")), 1_000),
    "dead letters": (lambda world: dead_letters.dead_letter_page(dead_letters.DeadLetterQuery()), 1_000),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_is_bounded(world: World, name: str) -> None:
    read, rows = READINGS[name]
    for plan in plans(lambda: read(world)):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        assert plan.rows <= rows


@pytest.mark.parametrize("dear", ["4", "1.1"])
def test_each_queue_is_counted_by_its_own_chunks(world: World, dear: str) -> None:
    # Where pages out of order are dear, an index of all unfinished chunks must not look cheaper.
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('random_page_cost', %s, true)", [dear])
    for read, pages in ((figures.queue_figures, 60_000), (figures.queue_estimates, 500_000)):
        for plan in plans(lambda read=read: read(database_now())):  # type: ignore[misc]
            assert plan.indexes("queues_chunk") <= {"chunk_claim", "chunk_held", "chunk_parked"}
            assert plan.pages < pages


def test_the_newest_letters_are_a_range_of_an_index(world: World) -> None:
    rows = dead_letters.newest_of(dead_letters.matching_letters(dead_letters.DeadLetterQuery()), 5_000)
    for plan in plans(lambda: list(rows.values_list("message", flat=True))):
        assert plan.indexes("queues_deadletter") == {"dead_died_at"}
        assert plan.rows <= 5_000
