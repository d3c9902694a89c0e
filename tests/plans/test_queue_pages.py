"""The pages of queues, workers and activity on a million chunks: every list reads a bounded part of an index."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django_celery_beat.models import IntervalSchedule

from monitoring import minutes, ranges
from queues.models import Batch, Recurring, Worker
from queues.selectors import activity, queue_page, recurring, runs, timeline, upkeep, worker_health
from queues.selectors.clock import database_now
from queues.services import standstill
from tests.plans.conftest import World
from tests.plans.plan import LARGE
from tests.plans.test_console import plans

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30)

ENTRIES = """
INSERT INTO queues_auditentry (at, actor, source, action, target, reason, outcome)
SELECT now() - n * interval '1 second', 'person ' || n % 50, 'page', 'pause queue', 'queue-' || n % 20, '', '{}'
FROM generate_series(1, 200000) n
"""
ENQUEUED = """
INSERT INTO queues_auditentry (at, actor, source, action, target, reason, outcome)
SELECT now() - n * interval '0.1 second', 'code', 'api', 'enqueue batch', 'batch ' || n, '', '{}'
FROM generate_series(1, 200000) n
"""
POINTS = """
INSERT INTO monitoring_metricpoint (queue_id, minute, runs, claimed, succeeded, failed, retried, dead, bytes)
SELECT q, date_trunc('minute', now()) - n * interval '1 minute', 1, 1, 1, 0, 0, 0, 0
FROM generate_series(1, 20) q, generate_series(0, 10079) n
"""


def run_pages(query: runs.RunQuery) -> None:
    found = runs.run_page(query)
    if found.older:
        found = runs.run_page(query, before=found.older)
    runs.run_page(query, after=found.newer or timeline.Place(database_now() - timedelta(minutes=10), 1))


READINGS: dict[str, tuple[Callable[[World], Any], int]] = {
    "backlog": (lambda world: queue_page.backlog(world.queue, database_now()), 8 * (queue_page.EACH + 1)),
    "next chunks": (lambda world: queue_page.next_chunks(world.queue, database_now()), 1_000),
    # Most of what is ready at the highest priority of this queue is planned for later.
    "next chunks, much later": (lambda world: queue_page.next_chunks(world.later, database_now()), 1_000),
    "arrivals": (lambda world: queue_page.arrivals(world.queue, database_now() - timedelta(hours=1), 60), 1_000),
    "arrivals of a month": (lambda world: queue_page.arrivals(world.queue, database_now() - MONTH, 7_200), 110_000),
    "recent runs": (lambda world: queue_page.recent_runs(world.queue), 1_000),
    "slots": (lambda world: queue_page.slots(world.queue), 1_100),
    "why nothing starts": (lambda world: standstill.explain(name="queue-1", now=database_now()), 1_100),
    "runs": (lambda world: run_pages(runs.RunQuery()), 1_000),
    "runs of a queue": (lambda world: run_pages(runs.RunQuery(queue="queue-1")), 6_000),
    # No index leads to these: the look is bounded.
    "lost runs": (lambda world: run_pages(runs.RunQuery(state="lost")), 3 * timeline.LOOK),
    "runs of an unknown worker": (lambda world: run_pages(runs.RunQuery(worker=uuid.UUID(int=1))), 3 * timeline.LOOK),
    "running": (lambda world: runs.running(), 1_100),
    "lost lately": (lambda world: runs.lost_since(database_now() - timedelta(minutes=10)), 1_100),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_is_bounded(world: World, name: str) -> None:
    read, rows = READINGS[name]
    for plan in plans(lambda: read(world)):
        for table in LARGE:
            assert "" not in plan.indexes(table), table
        assert plan.rows <= rows


def test_workers_are_measured_over_their_window_only(world: World) -> None:
    facts = {"name": "w", "host": "h", "machine": "m", "pid": 1, "process_started": 0, "version": "1", "state": "ready"}
    for _ in range(20):
        Worker.objects.create(id=uuid.uuid4(), **facts)
    now = database_now()
    for plan in plans(lambda: worker_health.listed(now, window=timedelta(minutes=10))):
        assert "" not in plan.indexes("queues_run")
        assert plan.rows <= 1_700


def test_the_activity_list_reads_along_its_time(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES)
        cursor.execute("ANALYZE queues_auditentry")
    now = database_now()
    queries = {
        activity.ActivityQuery(): 60,
        activity.ActivityQuery(actor="person 7"): timeline.LOOK,
        activity.ActivityQuery(target="nothing of this name"): timeline.LOOK,
        activity.ActivityQuery(since=now - timedelta(hours=2), until=now - timedelta(hours=1)): 60,
    }
    for query, rows in queries.items():
        for plan in plans(lambda query=query: activity.activity_page(query)):  # type: ignore[misc]
            assert plan.indexes("queues_auditentry") == {"audit_at"}, query
            assert rows_of(plan, "queues_auditentry") <= rows, query


def test_what_people_do_is_found_beside_what_code_enqueues(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ENQUEUED)
        cursor.execute(ENTRIES.replace("200000", "5000"))
        cursor.execute("ANALYZE queues_auditentry")
    since = database_now() - timedelta(days=1)
    reads: dict[Callable[[], object], int] = {
        lambda: activity.deeds(since, 5): activity.RECENT,
        lambda: activity.activity_page(activity.ActivityQuery(source="page")): 5_000,
        upkeep.last_runs: upkeep.LOOKED_AT,
    }
    for read, rows in reads.items():
        for plan in plans(read):
            assert plan.indexes("queues_auditentry") <= {"audit_deeds", "queues_auditentry_pkey"}
            assert rows_of(plan, "queues_auditentry") <= rows


def test_the_minutes_of_a_queue_are_read_by_their_key(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(POINTS)
        cursor.execute("ANALYZE monitoring_metricpoint")
    now = database_now()
    for window in minutes.WINDOWS.values():
        for plan in plans(lambda window=window: minutes.by_bucket(1, now - window.length, window.bucket)):  # type: ignore[misc]
            assert plan.indexes("monitoring_metricpoint") == {"metricpoint_once"}, window.name
    for read in (minutes.lately, minutes.last_hour, ranges.lost_runs):
        for plan in plans(lambda read=read: read(now)):  # type: ignore[misc]
            assert "" not in plan.indexes("monitoring_metricpoint"), read.__name__
            assert rows_of(plan, "monitoring_metricpoint") <= 1_300


def test_what_was_run_by_hand_is_found_by_its_schedule(world: World) -> None:
    every = IntervalSchedule.objects.create(every=60, period="seconds")
    row = Recurring.objects.create(
        name="nightly", queue_id=world.queue, handler="plans.nothing", payloads="[{}]", interval=every
    )
    Batch.objects.filter(pk__lte=10).update(recurring=row)
    Batch.objects.filter(pk__lte=5).update(due_at=F("created_at"))
    assert len(recurring.schedules_page()[0][0].made) == 10
    for plan in plans(recurring.schedules_page):
        assert "" not in plan.indexes("queues_batch")
        assert rows_of(plan, "queues_batch") <= 20


def rows_of(plan: Any, table: str) -> float:
    """Rows that were read from a table, also those that a condition then refused."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan.nodes()
        if node.get("Relation Name") == table
    )
