"""Archive and trash: nothing lost, nothing doubled, whatever is interrupted, whoever else does it too."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F
from django.utils import timezone
from psycopg import errors

from queues import store
from queues.models import ArchivedJob, AuditEntry, Batch, Chunk, DeadLetter, Job
from queues.services import archive as service
from queues.services import cancel, finish, operate, partitions
from queues.services.archive import archive
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db


def _outcomes() -> Counter[str]:
    return Counter(ArchivedJob.objects.values_list("outcome", flat=True))


def _state() -> tuple[Any, ...]:
    """Every row that an archiver or a restore may change."""
    return tuple(
        tuple(model.objects.order_by("pk").values_list()) for model in (Job, ArchivedJob, Chunk, Batch, AuditEntry)
    )


def test_a_finished_batch_moves_whole_and_its_chunks_stay() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch(do, [{"n": n, "exact": 12345678901234567890} for n in range(25)], priority="high")
    payloads = dict(Job.objects.values_list("pk", "payload"))
    drain()
    assert archive(dry_run=True) == 25
    assert service.due() == [("tested", 3, 25)]
    assert ArchivedJob.objects.count() == 0
    assert archive() == 25
    assert archive() == 0
    assert Job.objects.count() == 0
    assert dict(ArchivedJob.objects.values_list("pk", "payload")) == payloads
    assert _outcomes() == {"succeeded": 25}
    one = ArchivedJob.objects.order_by("pk")[0]
    chunk = Chunk.objects.get(pk=one.chunk_id)
    assert (one.batch_id, one.queue.name, one.handler, one.priority) == (batch.pk, "tested", "tested.do", 1)
    assert (one.enqueued_at, one.finished_at) == (chunk.created_at, chunk.finished_at)
    assert Chunk.objects.filter(batch=batch, archived_at__isnull=False).count() == 3
    assert_sound()


def test_single_jobs_leave_no_chunk() -> None:
    make_queue()
    for n in range(5):
        enqueue(do, {"n": n})
    drain()
    assert archive() == 5
    assert (Job.objects.count(), Chunk.objects.count(), ArchivedJob.objects.count()) == (0, 0, 5)
    assert ArchivedJob.objects.filter(batch_id=None).count() == 5
    assert_sound()


def test_a_job_that_was_tried_again_is_as_old_as_it_was_when_enqueued() -> None:
    make_queue(backoff_base=0, jitter=0, max_attempts=2)
    job = enqueue(do, {"fail": 1})
    Chunk.objects.update(created_at=F("created_at") - timedelta(hours=3), run_at=F("run_at") - timedelta(hours=3))
    enqueued = Chunk.objects.get().created_at
    drain()
    Job.objects.filter(pk=job).update(payload={})
    operate.start(action="retry_dead", selection={"all": True}, actor="a", source="api")
    retry = Chunk.objects.get(state="ready")
    assert retry.created_at == enqueued
    assert timezone.now() - retry.run_at < timedelta(minutes=1)
    drain()
    assert archive() == 1
    assert ArchivedJob.objects.get().enqueued_at == enqueued
    assert_sound()


def test_only_what_is_finished_and_old_enough_moves() -> None:
    queue = make_queue(archive_after=3600)
    enqueue_batch(do, [{}] * 3)
    drain()
    assert archive() == 0
    Chunk.objects.update(finished_at=F("finished_at") - timedelta(seconds=3_599))
    assert archive() == 0
    Chunk.objects.update(finished_at=F("finished_at") - timedelta(seconds=2))
    assert archive() == 3
    queue.archive_after = 0
    queue.save()
    enqueue_batch(do, [{}] * 4)
    assert archive() == 0


def test_a_batch_that_still_runs_keeps_its_done_chunks() -> None:
    make_queue(chunk_size=5, backoff_base=3600)
    batch = enqueue_batch(do, [{}] * 5 + [{"fail": 1}] * 5)
    drain()
    assert Chunk.objects.filter(batch=batch, state="done").count() == 2
    assert archive() == 0
    Chunk.objects.filter(state="ready").update(run_at=timezone.now())
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    assert archive() == 10
    assert _outcomes() == {"succeeded": 5, "cancelled": 5}
    assert_sound()


def test_each_outcome_by_own_state_bit_and_chunk() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch(do, [{"n": n} for n in range(10)])
    first = batch.first_job_id
    assert first is not None
    with leased() as execution:
        execution.succeeded += [0, 3]
        execution._settle(execution._ended(), final=False)
        cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    assert Chunk.objects.get(batch=batch).state == "cancelled"
    assert archive() == 0
    assert finish.sweep() == [batch.pk]
    assert archive() == 10
    succeeded = set(ArchivedJob.objects.filter(outcome="succeeded").values_list("pk", flat=True))
    assert succeeded == {first, first + 3}
    assert _outcomes() == {"succeeded": 2, "cancelled": 8}
    assert_sound()


def test_dead_letters_stay_until_the_trash_is_emptied(settings: Any) -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch(do, [{"die": n} if n < 3 else {} for n in range(10)])
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.dead) == ("partial", 3)
    assert archive() == 7
    assert Job.objects.count() == DeadLetter.objects.count() == 3
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="a", source="api")
    assert archive() == 0
    Chunk.objects.filter(held_why="trashed").update(created_at=timezone.now() - timedelta(hours=71))
    assert archive() == 0
    settings.TRASH_AFTER = 70 * 3600
    assert archive() == 3
    assert _outcomes() == {"succeeded": 7, "deleted": 3}
    trash = Chunk.objects.get(batch=batch, held_why="trashed")
    assert (trash.state, trash.size, trash.cancelled) == ("cancelled", 3, 3)
    assert_sound()


def test_empty_chunks_go_too() -> None:
    make_queue(max_attempts=1)
    enqueue(do, {"die": 1})
    batch = enqueue_batch(do, [{"die": 1}])
    drain()
    assert archive() == 0
    # The chunks of birth are done and empty: the single job's is gone, the batch's is marked.
    assert Chunk.objects.filter(state="done").count() == 1
    assert Chunk.objects.get(state="done", batch=batch).archived_at is not None
    assert_sound()


def test_partitions_are_made_when_a_job_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "SIZE", 10)
    make_queue(chunk_size=7)
    batch = enqueue_batch(do, [{}] * 35)
    drain()
    before = set(partitions.existing())
    with connection.cursor() as cursor:  # not those of the real size, which would overlap
        for number in before:
            cursor.execute(f"DROP TABLE queues_archivedjob_p{number}")
    assert archive() == 35
    assert batch.first_job_id is not None
    wanted = {n // 10 for n in range(batch.first_job_id, batch.first_job_id + 35)}
    assert set(partitions.existing()) == wanted
    assert_sound()


def test_a_chunk_that_does_not_hold_what_it_counts_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    make_queue(chunk_size=5)
    batch = enqueue_batch(do, [{}] * 15)
    drain()
    assert batch.first_job_id is not None
    Job.objects.filter(pk=batch.first_job_id).delete()
    wrong = Chunk.objects.order_by("pk")[0]
    assert archive() == 10
    assert str([wrong.pk]) in caplog.text
    assert Job.objects.filter(chunk=wrong).count() == 4


def test_a_round_that_takes_too_long_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=10)
    enqueue_batch(do, [{}] * 200)
    drain()
    asked: list[int] = []
    real = store.rows

    def slow(name: str, /, **values: Any) -> list[Any]:
        if name == "archive_pick":
            asked.append(values["jobs"])
        if name == "archive_lock" and len(values["chunks"]) > 8:
            raise errors.QueryCanceled("canceling statement due to statement timeout")
        return real(name, **values)

    monkeypatch.setattr(store, "rows", slow)
    assert archive(seconds=None) == 200
    assert asked[:5] == [5_000, 1_250, 312, 78, 78]
    assert_sound()


STATEMENTS = ("archive_lock", "archive_jobs", "archive_chunks")


@pytest.mark.parametrize("at", STATEMENTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_statements_nothing_has_happened(at: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=5)
    enqueue_batch(do, [{"n": n} for n in range(20)])
    for n in range(3):
        enqueue(do, {"n": n})
    drain()
    archive(dry_run=True)
    partitions.ensure(ranges=[(0, 10_000)])
    before = _state()

    class Killed(BaseException):
        pass

    def dying(real: Any) -> Any:
        def call(name: str, /, **values: Any) -> Any:
            if name == at and when == "before":
                raise Killed
            result = real(name, **values)
            if name == at:
                raise Killed
            return result

        return call

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(store, "rows", dying(store.rows))
        patched.setattr(store, "run", dying(store.run))
        archive()
    assert _state() == before
    assert archive() == 23
    assert ArchivedJob.objects.count() == 23
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_several_archivers_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "JOBS", 40)
    make_queue(chunk_size=10)
    enqueue_batch(do, [{"n": n} for n in range(1_000)])
    for n in range(100):
        enqueue(do, {"n": n})
    drain()
    ids = set(Job.objects.values_list("pk", flat=True))
    moved: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        try:
            start.wait(10)
            moved.append(archive(seconds=None))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(moved) == 1_100
    assert set(ArchivedJob.objects.values_list("pk", flat=True)) == ids
    assert Job.objects.count() == 0
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_what_another_archiver_holds_is_passed_over() -> None:
    make_queue(chunk_size=10)
    enqueue_batch(do, [{}] * 30)
    drain()
    held = Chunk.objects.order_by("pk")[0].pk
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with store.atomic():
                store.rows("archive_lock", chunks=[held])
                locked.set()
                done.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(10)
    try:
        assert archive() == 20
    finally:
        done.set()
        thread.join(10)
    assert archive() == 10


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.django_db(transaction=True)
def test_no_statement_scans_a_whole_table() -> None:
    queue = make_queue(chunk_size=10)
    for _ in range(4):
        enqueue_batch(do, [{"n": n, "pad": "x" * 100} for n in range(10_000)])
    drain()
    partitions.ensure(ranges=[(0, 1)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE queues_job, queues_chunk, queues_batch")
    chunks = list(Chunk.objects.order_by("pk").values_list("pk", flat=True)[:20])
    pick = {"queue": queue.pk, "grace": 0.0, "after_at": service._START, "after": 0, "skip": []}
    for name, values in [
        ("archive_pick", {**pick, "chunks": 50, "jobs": 2_000}),
        ("archive_lock", {"chunks": chunks}),
        ("archive_jobs", {"chunks": chunks}),
        ("archive_chunks", {"chunks": chunks}),
    ]:
        plan = store.explain(name, **values)
        scanned = [node for node in _nodes(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"]
        assert {node["Relation Name"] for node in scanned} <= {"queues_batch"}, name
        if name == "archive_pick":
            used = {node.get("Index Name") for node in _nodes(plan[0]["Plan"])}
            assert "chunk_to_archive" in used
    assert archive(seconds=None) == 40_000
    assert_sound()


def test_a_ring_stops_in_time_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "JOBS", 15)
    make_queue(chunk_size=10)
    enqueue_batch(do, [{}] * 50)
    drain()
    told: list[int] = []
    assert archive(seconds=0, progress=told.append) == 20
    assert archive(seconds=None, progress=told.append) == 30
    assert told == [20, 20, 30]
    assert_sound()
