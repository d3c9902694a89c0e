"""The engine's statements on a million chunks and jobs: by which index they go, and how little they touch."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from queues.models import Chunk, Job, Operation, OperationItem
from tests.plans.conftest import World
from tests.plans.plan import Plan

pytestmark = pytest.mark.django_db

CHUNK, JOB, RUN = "queues_chunk", "queues_job", "queues_run"
WORKER = "00000000-0000-0000-0000-000000000001"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ARCHIVE = {
    **{"queue": 1, "grace": 3_600.0, "after_at": LONG_AGO, "after": 0, "skip": []},
    **{"chunks": 100, "jobs": 20_000},
}


def claim(world: World, **values: Any) -> Plan:
    usual = {"queue": world.queue, "worker": WORKER, "want": 1_000, "lease": 12.0, "max_bytes": 16_777_216, "look": 18}
    return Plan.of("claim", **{**usual, **values})


def test_claim_goes_by_its_index_and_reads_no_more_than_it_looks_at(world: World) -> None:
    plan = claim(world)
    assert plan.indexes(CHUNK) == {"chunk_claim", "queues_chunk_pkey"}
    assert plan.rows_of("LockRows") == 5
    assert plan.root["Actual Rows"] == 5
    assert plan.rows < 50
    assert plan.pages < 200


def test_claim_locks_no_more_chunks_than_it_takes(world: World) -> None:
    # A limit of its own on the locked rows, instead of what the first look found, locked 500 to take 3.
    plan = claim(world, want=600, look=1_000)
    assert plan.rows_of("LockRows") == plan.root["Actual Rows"] == 3
    # Each of the two readings may look at so many rows of so many priorities.
    assert plan.rows <= 1_100


def test_claim_does_not_walk_over_what_is_not_yet_due(world: World) -> None:
    waiting = Chunk.objects.filter(queue=world.later, state="ready", priority=0)
    assert waiting.filter(run_at__gt=Now()).count() == waiting.count() > 2_000
    plan = claim(world, queue=world.later)
    assert plan.root["Actual Rows"] == 5
    assert plan.rows < 50
    assert plan.pages < 200


def test_load_reads_the_jobs_of_its_chunks_and_no_others(world: World) -> None:
    plan = Plan.of("load", chunks=list(world.chunks), batches=[world.batch])
    assert plan.indexes(JOB) == {"queues_job_pkey"}
    assert plan.indexes(CHUNK) == {"queues_chunk_pkey"}
    assert plan.rows <= 1_010
    assert plan.pages < 150


def test_load_finds_the_jobs_of_a_retry_chunk_by_their_ids(world: World) -> None:
    ids = list(range(1, 100_000, 2_000))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queues_job SET chunk_id = 1 WHERE id = ANY(%s)", [ids])
        cursor.execute(
            "UPDATE queues_chunk SET job_ids = %s, first_id = NULL, span = NULL, size = %s WHERE id = 1",
            [ids, len(ids)],
        )
    plan = Plan.of("load", chunks=[1], batches=[1])
    assert plan.indexes(JOB) == {"queues_job_pkey"}
    assert plan.rows <= len(ids) + 5
    assert plan.pages < 10 * len(ids)


def test_settle_whole_finds_its_chunks_by_their_run(world: World) -> None:
    plan = Plan.of("settle_whole", run=world.run, step=0, p50=1.0, p95=1.0, max=1.0)
    assert plan.indexes(CHUNK) == {"chunk_leased"}
    assert plan.indexes(RUN) == {"queues_run_pkey"}
    assert plan.rows == 11
    assert plan.pages < 250


def test_settle_chunks_touches_its_chunks_only(world: World) -> None:
    chunks, count = list(world.chunks), len(world.chunks)
    counts = dict.fromkeys(
        ("n_succeeded", "n_failed", "n_retried", "n_dead", "n_cancelled", "n_returned", "p50", "p95", "max"), 0
    )
    plan = Plan.of(
        "settle_chunks",
        run=100_001 - chunks[0] // 10,
        ids=chunks,
        gone=[1] * count,
        succeeded=[199] * count,
        cancelled=[0] * count,
        ended=[None] * count,
        states=["done"] * count,
        tried=[0] * count,
        delays=[None] * count,
        **counts,
    )
    assert "" not in plan.indexes(CHUNK) | plan.indexes(RUN)
    assert plan.rows <= 20
    assert plan.pages < 200


@pytest.mark.parametrize(
    ("name", "values", "table", "index", "rows"),
    [
        ("fence", {"run": 99_550, "step": 0, "state": "running", "lease": 12.0}, RUN, "queues_run_pkey", 1),
        ("renew", {"run": 99_550, "lease": 12.0, "batches": [1, 2]}, RUN, "queues_run_pkey", 5),
        ("expired_runs", {"limit": 50}, RUN, "run_lease", 50),
        ("due_queues", {"lost_after": 5.0}, CHUNK, "chunk_claim", 20),
        ("unfinished", {"batch": 100}, CHUNK, "chunk_unfinished", 2),
        ("unfinished", {"batch": 9_999}, CHUNK, "chunk_unfinished", 2),
        ("batch_counts", {"batch": 100}, CHUNK, "chunk_batch", 102),
        ("finishable", {"after": 0, "limit": 200}, CHUNK, "chunk_unfinished", 400),
        ("leased_chunks", {"run": 99_550}, CHUNK, "chunk_leased", 10),
        ("run_chunks", {"run": 99_550}, CHUNK, "chunk_leased", 10),
        ("return_chunks", {"run": 99_550, "cancel": []}, CHUNK, "chunk_leased", 10),
        ("run_batches", {"run": 99_550}, CHUNK, "chunk_leased", 30),
        ("members", {"chunk": 4_500}, JOB, "queues_job_pkey", 201),
        (
            "see_causes",
            {"queues": [1], "fingerprints": ["a"], "died_at": [None]},
            "queues_seencause",
            "seencause_once",
            9,
        ),
        ("cancel_chunks", {"batches": [100]}, CHUNK, "chunk_unfinished", 202),
        ("release_held", {"batch": 100, "why": "open"}, CHUNK, "chunk_unfinished", 202),
        ("end_leases", {"worker": WORKER}, RUN, "run_worker", 1),
        ("mark_queued", {"queue": 1}, "queues_batch", "batch_unannounced", 0),
        ("pending_queues", {"limit": 1_000}, "queues_batch", "batch_unannounced", 2_002),
        ("oldest_due", {"queue": None}, CHUNK, "chunk_claim", 100),
        ("archive_pick", ARCHIVE, CHUNK, "chunk_to_archive", 120),
        ("archive_lock", {"chunks": [6_001, 6_004]}, CHUNK, "queues_chunk_pkey", 4),
        ("restore_lock", {"chunks": [6_001, 6_004]}, CHUNK, "queues_chunk_pkey", 4),
        ("empty_trash", {"seconds": 86_400.0, "chunks": 100}, CHUNK, "chunk_trash", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_goes_by_its_index(
    world: World, name: str, values: dict[str, Any], table: str, index: str, rows: int
) -> None:
    plan = Plan.of(name, **values)
    assert index in plan.indexes(table)
    assert "" not in plan.indexes(CHUNK) | plan.indexes(JOB) | plan.indexes(RUN)
    assert plan.rows <= rows
    assert plan.pages < 50 + 20 * rows


def test_moving_jobs_touches_those_jobs_only(world: World) -> None:
    jobs = list(range(500_001, 500_051))
    plan = Plan.of(
        "move_jobs",
        jobs=jobs,
        old_chunks=[2_501] * 50,
        new_chunks=[2_502] * 50,
        burns=[1] * 50,
        owns=[None] * 50,
    )
    assert plan.indexes(JOB) == {"queues_job_pkey"}
    assert plan.rows == 50
    assert plan.pages < 1_000


def test_no_statement_is_compiled_however_dear_it_is_believed_to_be(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit_above_cost = 0")
    assert not Plan.of("load", chunks=list(world.chunks), batches=[world.batch]).compiled


def test_operations_on_a_batch_are_found_by_their_items(world: World) -> None:
    first = Job.objects.order_by("pk").values_list("pk", flat=True)[0]
    operation = Operation.objects.create(action="retry", actor="ann", source="api", total=5_000)
    OperationItem.objects.bulk_create(
        OperationItem(operation=operation, job_id=number) for number in range(first, first + 5_000)
    )
    values = {"operations": [operation.pk], "first": first, "last": first + 5_000, "items": 100}
    # Of another batch, whose numbers enclose these: no more is looked at than was allowed.
    plan = Plan.of("batch_operations", **values, batches=[2**40], alone=False)
    assert plan.indexes(JOB) <= {"queues_job_pkey"}
    assert plan.root["Actual Rows"] == 0
    assert plan.rows < 1_000
    plan = Plan.of("batch_operations", **values, batches=[world.batch], alone=True)
    assert plan.root["Actual Rows"] == 1
    assert plan.rows < 50
