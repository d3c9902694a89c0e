"""What the tables cost, and what may be asked of the stored payloads."""

from itertools import pairwise

import pytest
from django.db import connection
from psycopg import errors

from queues import store
from queues.domain.outcomes import Fail
from queues.domain.payload import JsonText
from queues.models import Chunk
from queues.services.enqueue import enqueue, enqueue_batch
from tests.queues.working import leased, make_queue


def one(statement: str, *values: object) -> object:
    """The one value that a statement answers."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def updates() -> tuple[int, int]:
    """Updates of jobs so far, and those of them that were HOT."""
    one("SELECT pg_stat_force_next_flush()")
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'queues_job'")
        return cursor.fetchone()


@pytest.mark.django_db(transaction=True)
def test_jobs_that_move_stay_on_their_page_and_touch_no_index() -> None:
    """With a fillfactor of 100 there would be no room for their second version, and none of these were HOT."""
    make_queue(chunk_size=1_000, run_size=10_000, backoff_base=60)
    batch = enqueue_batch("tested.do", [{"text": "x" * 130}] * 10_000)
    before = updates()
    with leased(want=10_000) as execution:
        for index in range(0, 10_000, 20):
            execution.note(index, Fail("no"), 0.0)
        execution.succeeded += [index for index in range(10_000) if index % 20]
    assert Chunk.objects.filter(batch=batch, is_retry=True).count() == 1
    assert [now - then for now, then in zip(updates(), before, strict=True)] == [500, 500]


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "fillfactor"), [("queues_job", 92), ("queues_chunk", 70), ("queues_run", 80)])
def test_pages_keep_room_for_a_second_version(table: str, fillfactor: int) -> None:
    options = one("SELECT reloptions FROM pg_class WHERE relname = %s", table)
    assert f"fillfactor={fillfactor}" in options


@pytest.mark.django_db
def test_every_payload_that_came_in_can_be_searched_as_jsonb() -> None:
    """`1e200000` is valid JSON too, and makes this cast fail for the whole list."""
    make_queue()
    for text in ["1e1000", "-1.5e-1000", '{"a":[1e-999,1E+99]}', "0." + "1" * 900, "9" * 1_000, '"\\u00e9\\n"']:
        enqueue("tested.do", JsonText(text))
    assert one("SELECT count(payload::text::jsonb) FROM queues_job") == 6
    assert one("""SELECT count(*) FROM queues_job WHERE payload::text::jsonb @> '{"a": [1E99]}'""") == 1


@pytest.mark.django_db
def test_ids_come_in_blocks_whatever_was_asked_before() -> None:
    firsts = [store.one("reserve_ids", sequence="queues_job_id_seq", wanted=n) for n in (1, 10, 1, 2_000, 1)]
    assert [after - before for before, after in pairwise(firsts)] == [1, 10, 1, 2_000]


@pytest.mark.django_db(transaction=True)
def test_an_error_while_ids_are_reserved_frees_the_lock() -> None:
    with pytest.raises(errors.NumericValueOutOfRange):
        for _ in range(2):
            store.one("reserve_ids", sequence="queues_job_id_seq", wanted=2**62)
    assert one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    one("SELECT setval('queues_job_id_seq', 1)")
