"""A worker plans its statements once, maybe while there is next to nothing: they must be as good when a flood comes."""

import uuid
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from queues import store
from queues.services import claim as claim_service
from queues.services import settle
from queues.services.enqueue import enqueue_batch
from tests.queues.working import make_queue

FLOOD = 20_000
WANT = 500
READ = """
SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0)
FROM pg_stat_xact_user_tables WHERE relname IN ('queues_chunk', 'queues_job')
"""


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    """The connection is one that works, and was used for nothing else."""
    connection.close()
    store.tune_for_work()
    yield
    connection.close()


def work_one_run(queue_id: int) -> int:
    policy = claim_service.policy(queue_id=queue_id)
    assert policy is not None
    claim = claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=WANT, lease=30)
    assert claim is not None
    claim_service.load(claim=claim)
    settle.settle_whole(claim=claim, step=0, timing=settle.Timing())
    return len(claim.ids)


def read() -> dict[str, tuple[int, int]]:
    """Rows that the open transaction has read of each table: in scans of all of it, and by an index."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return {name: (scanned, fetched) for name, scanned, fetched in cursor.fetchall()}


def test_plans_made_on_empty_tables_read_no_more_than_the_run_when_a_flood_has_come(worker: None) -> None:
    queue = make_queue(chunk_size=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE queues_chunk, queues_job")
    for _ in range(2):
        enqueue_batch("tested.do", range(2))
        assert work_one_run(queue.pk) == 2
    enqueue_batch("tested.do", range(FLOOD), split=True)
    with transaction.atomic():
        before = read()
        assert work_one_run(queue.pk) == WANT
        after = read()
    for table, most in {"queues_chunk": 8 * WANT, "queues_job": 3 * WANT}.items():
        (scanned, fetched), (scanned_then, fetched_then) = before[table], after[table]
        assert scanned_then - scanned == 0, table
        assert WANT <= fetched_then - fetched <= most, table
