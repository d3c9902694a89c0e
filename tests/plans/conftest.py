"""A database with a million chunks and a million jobs, made once for all tests of plans."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from tests.plans.plan import LARGE

CHUNKS = 1_000_000
JOBS = 1_000_000
EMPTIED = f"TRUNCATE {', '.join(LARGE)}, queues_attempt, queues_seencause, queues_batch, queues_queue CASCADE"

QUEUES = """
INSERT INTO queues_queue (id, name, handler, chunk_size, run_size, concurrency, acknowledge, default_priority,
                          max_attempts, backoff, backoff_base, backoff_cap, jitter, archive_after, purge_after)
SELECT n, 'queue-' || n, 'plans.nothing', 200, 1000, 1, 'per_job', 2, 3, 'exponential', 1, 3600, 0.25, 3600, 86400
FROM generate_series(1, 20) n
"""
BATCHES = """
INSERT INTO queues_batch (id, queue_id, handler, name, failure_mode, chunk_size, total, state, created_at, sealed_at,
                          queued_at, finished_at, succeeded, dead, cancelled)
SELECT n, 1 + n % 20, 'plans.nothing', 'batch ' || n, 'continue', 200, 20000,
       CASE WHEN n % 100 = 0 THEN 'running' ELSE 'completed' END, now() - n * interval '1 minute',
       now() - n * interval '1 minute', now(), CASE WHEN n % 100 > 0 THEN now() END,
       CASE WHEN n % 100 > 0 THEN 20000 END, 0, 0
FROM generate_series(1, 10000) n
"""
# The first chunks hold the jobs: ready ones in front, then leased ones. Of the others, which have no job rows, most are
# done; a third waits, some of that for later, in the second queue all that is critical. Runs hold ten chunks each, and
# the last ones still run.
CHUNK_ROWS = f"""
INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, created_at, state, held_why, size,
                          succeeded, bytes, first_id, span, run_id, run_ids, finished_at)
SELECT n, 1 + n % 20, CASE WHEN n % 10 < 9 THEN 1 + n / 100 END, 'plans.nothing', n / 20 % 5,
       now() + CASE WHEN n % 29 = 0 OR n % 100 = 1 THEN interval '1 day' ELSE interval '-1 day' * random() END,
       now() - interval '30 days' * random(), state, CASE WHEN state = 'parked' THEN 'dead' ELSE '' END, 200,
       CASE WHEN state = 'done' THEN 200 ELSE 0 END, 30000, (n - 1) * 200 + 1, 200,
       CASE WHEN state IN ('done', 'leased') THEN 100001 - n / 10 END, '{{}}',
       CASE WHEN state = 'done' THEN now() - interval '30 days' * random() END
FROM (
    SELECT n, CASE WHEN n <= 4000 THEN 'ready' WHEN n <= 5000 THEN 'leased' WHEN n % 100 = 53 THEN 'parked'
                   WHEN n % 100 = 2 THEN 'held' WHEN n % 3 = 0 THEN 'ready' ELSE 'done' END AS state
    FROM generate_series(1, {CHUNKS}) n
) numbers
"""
JOB_ROWS = f"""
INSERT INTO queues_job (id, chunk_id, batch_id, payload)
SELECT n, 1 + (n - 1) / 200, 1, ('{{"n": ' || n || ', "text": "' || repeat('x', 120) || '"}}')::json
FROM generate_series(1, {JOBS}) n
"""
RUNS = """
INSERT INTO queues_run (id, queue_id, worker_id, started_at, lease_until, finished_at, state, chunks, claimed,
                        succeeded)
SELECT n, 1 + n % 20, gen_random_uuid(), ended - interval '1 second',
       ended + interval '1 minute' * CASE WHEN n % 7 = 0 THEN -1 ELSE 1 END, CASE WHEN n < 99500 THEN ended END,
       CASE WHEN n < 99500 THEN 'done' ELSE 'running' END, 10, 2000, CASE WHEN n < 99500 THEN 2000 ELSE 0 END
FROM (SELECT n, now() - (100000 - n) * interval '1 second' AS ended FROM generate_series(1, 100000) n) numbers
"""
DEAD = """
INSERT INTO queues_deadletter (job_id, queue_id, batch_id, handler, fingerprint, reason, error_class, message, attempts,
                               died_at)
SELECT 300000000 + n, 1 + n % 20, 1 + n % 10000, 'plans.nothing', md5((n % 40)::text)::char(16), 'out of attempts',
       'ValueError', 'no ' || n, 3, now() - n * interval '1 minute'
FROM generate_series(1, 50000) n
"""
SEEN = """
INSERT INTO queues_seencause (queue_id, fingerprint) SELECT 1 + n % 20, md5(n::text)::char(16)
FROM generate_series(1, 20000) n
"""
# Filling a table and then making its indexes takes half the time of filling it with them.
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename IN ('queues_chunk', 'queues_job') AND indexname NOT LIKE '%_pkey'
"""


@dataclass(frozen=True, slots=True)
class World:
    """Where things are."""

    queue: int = 1
    later: int = 2  # what is critical in this queue is not yet due
    batch: int = 100  # running, with a hundred chunks, the first of which have jobs
    run: int = 99_550  # running, with ten chunks of two hundred jobs
    chunks: tuple[int, ...] = tuple(range(4_500, 4_505))  # leased, adjacent


@pytest.fixture(scope="package")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The rows, analysed."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            _empty(cursor, "UNLOGGED")
            _seed(cursor)
        yield World()
        with connection.cursor() as cursor:
            _empty(cursor, "LOGGED")


def _empty(cursor: Any, durability: str) -> None:
    """Without a log the rows are made in half the time. Changing that costs nothing while there are none."""
    cursor.execute(EMPTIED)
    for table in LARGE:
        cursor.execute(f"ALTER TABLE {table} SET {durability}")


def _seed(cursor: Any) -> None:
    cursor.execute("SELECT setseed(0.5), set_config('maintenance_work_mem', '512MB', false)")
    for statement in (QUEUES, BATCHES, RUNS, DEAD, SEEN):
        cursor.execute(statement)
    cursor.execute(INDEXES)
    indexes = cursor.fetchall()
    for name, _definition in indexes:
        cursor.execute(f"DROP INDEX {name}")
    cursor.execute(CHUNK_ROWS)
    cursor.execute(JOB_ROWS)
    for _name, definition in indexes:
        cursor.execute(definition)
    cursor.execute("SELECT setval(pg_get_serial_sequence('queues_run', 'id'), 200000)")
    cursor.execute("RESET maintenance_work_mem")
    cursor.execute("VACUUM ANALYZE")
