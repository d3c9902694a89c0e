"""Purge: what is past its retention goes, nothing else, and sums stay true until their batch goes as a whole."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from queues.models import (
    ArchivedJob,
    Attempt,
    AuditEntry,
    Batch,
    Chunk,
    JobResult,
    Operation,
    OperationItem,
    Queue,
    Run,
    Worker,
)
from queues.services import audit, operate, partitions
from queues.services import purge as service
from queues.services.archive import archive
from queues.services.delete import delete_batch, restore_batch
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.purge import purge
from tests.checker import assert_sound
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db
DAY = 86_400


def _done(**expected: int) -> dict[str, int]:
    names = {
        "partitions": "archive partitions",
        "jobs": "archived jobs",
        "audit": "audit entries",
        "items": "operation items",
    }
    zeros = dict.fromkeys(
        [
            "archive partitions",
            "archived jobs",
            "batches",
            "attempts",
            "causes",
            "runs",
            "workers",
            "results",
            "audit entries",
            "operation items",
            "operations",
        ],
        0,
    )
    return zeros | {names.get(name, name): count for name, count in expected.items()}


def _age(days: float) -> None:
    """Let everything that has ended have ended so much earlier."""
    by = timedelta(days=days)
    ArchivedJob.objects.update(finished_at=F("finished_at") - by)
    Chunk.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - by)
    Batch.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - by)
    Run.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - by)
    Attempt.objects.update(finished_at=F("finished_at") - by)


@pytest.fixture
def small_partitions(no_partitions: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "SIZE", 100)


@pytest.mark.usefixtures("small_partitions")
def test_partitions_go_when_their_newest_job_is_past_the_longest_retention() -> None:
    make_queue(purge_after=10 * DAY, chunk_size=50)
    make_queue("longer", purge_after=20 * DAY)
    batches = [enqueue_batch(do, [{"n": n} for n in range(150)]) for _ in range(3)]
    drain()
    assert archive(seconds=None) == 450
    enqueue(do, {})
    made = set(partitions.existing())
    assert len(made) >= 5
    _age(19)
    young = batches[-1].last_job_id or 0
    assert partitions.drop(before=timezone.now() - timedelta(days=20)) == []
    ArchivedJob.objects.exclude(pk=young).update(finished_at=timezone.now() - timedelta(days=21))
    dropped = purge()["archive partitions"]
    assert dropped == len(made) - 1
    assert set(partitions.existing()) == {young // 100}


@pytest.mark.usefixtures("small_partitions")
def test_a_dropped_partition_is_made_again_when_needed() -> None:
    make_queue(purge_after=DAY)
    late = enqueue(do, {}, run_at=timezone.now() + timedelta(days=3))
    for _ in range(150):
        enqueue(do, {})
    drain()
    archive()
    assert late is not None
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE queues_archivedjob_p{late // 100}")
    Chunk.objects.update(run_at=timezone.now())
    drain()
    assert archive() == 1
    assert ArchivedJob.objects.filter(pk=late).exists()


def test_shorter_retentions_delete_rows_and_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ROUND", 2)
    monkeypatch.setattr(service, "LOOK", 4)
    make_queue(purge_after=2 * DAY, keep_results=100 * DAY)
    make_queue("kept", purge_after=30 * DAY)
    batch = enqueue_batch(do, [{"value": n} for n in range(10)])
    kept = enqueue_batch(do, [{"n": n} for n in range(10)], queue="kept")
    drain()
    drain("kept")
    assert archive() == 20
    Attempt.objects.create(job_id=batch.first_job_id or 0, run_id=1, worker_id=uuid.uuid4(), number=1, kind="error")
    assert JobResult.objects.count() == 10
    _age(3)
    expected = _done(jobs=10)
    assert purge(dry_run=True) == expected
    assert ArchivedJob.objects.count() == 20
    assert purge() == expected | {"batches": 1}
    assert set(ArchivedJob.objects.values_list("batch_id", flat=True)) == {kept.pk}
    assert list(Batch.objects.values_list("pk", flat=True)) == [kept.pk]
    assert not Chunk.objects.filter(batch=batch).exists()
    assert (Attempt.objects.count(), JobResult.objects.count()) == (0, 0)
    assert purge() == _done()
    assert_sound()


def test_the_longest_retention_deletes_rows_when_no_partition_can_go() -> None:
    make_queue(purge_after=10 * DAY)
    enqueue_batch(do, [{}] * 5)
    drain()
    archive()
    enqueue_batch(do, [{}] * 2)
    drain()
    archive()
    first = ArchivedJob.objects.order_by("pk")[:5]
    ArchivedJob.objects.filter(pk__in=[job.pk for job in first]).update(finished_at=timezone.now() - timedelta(days=16))
    assert purge()["archived jobs"] == 0
    ArchivedJob.objects.filter(pk__in=[job.pk for job in first]).update(finished_at=timezone.now() - timedelta(days=18))
    assert purge()["archived jobs"] == 5
    assert ArchivedJob.objects.count() == 2


def test_batches_with_anything_left_stay() -> None:
    queue = make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    plain = enqueue_batch(do, [{}] * 3)
    waiting = enqueue_batch(do, [{}, {"die": 1}])
    drain()
    archive()
    running = enqueue_batch(do, [{}])
    _age(2)
    assert purge() == _done(jobs=4, batches=1)
    assert set(Batch.objects.values_list("pk", flat=True)) == {waiting.pk, running.pk}
    assert not Batch.objects.filter(pk=plain.pk).exists()
    assert_sound()
    # The dead letter is deleted, ends in the archive, and then its batch goes too.
    operate.start(action="delete_dead", selection={"batch": waiting.pk}, actor="a", source="api")
    Chunk.objects.filter(held_why="trashed").update(created_at=timezone.now() - timedelta(days=4))
    assert archive() == 1
    assert purge()["batches"] == 0
    _age(2)
    assert purge()["batches"] == 1
    assert list(Batch.objects.filter(queue=queue).values_list("pk", flat=True)) == [running.pk]
    assert_sound()


def test_parents_go_after_their_parts_and_parts_not_before_them(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    parent = enqueue_batch(do, [{"n": n} for n in range(25)], split=True)
    drain()
    archive()
    _age(2)
    Batch.objects.filter(pk=parent.pk).update(finished_at=timezone.now())
    assert purge() == _done(jobs=25)
    assert Batch.objects.count() == 4
    assert_sound()
    _age(2)
    assert purge() == _done(batches=4)
    assert (Batch.objects.count(), Chunk.objects.count()) == (0, 0)
    assert_sound()


def test_a_batch_reopened_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    batch = enqueue_batch(do, [{}] * 3)
    drain()
    archive()
    _age(2)
    purge_one = service._purge_batch

    def reopened(rows: Any, number: int) -> int:
        Batch.objects.filter(pk=number).update(
            state="running", finished_at=None, succeeded=None, dead=None, cancelled=None
        )
        return purge_one(rows, number)

    monkeypatch.setattr(service, "_purge_batch", reopened)
    assert purge()["batches"] == 0
    assert Batch.objects.filter(pk=batch.pk).exists()
    assert Chunk.objects.filter(batch=batch).exists()


def test_records_go_by_their_own_retention(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ROUND", 1)
    monkeypatch.setattr(service, "LOOK", 2)
    queue = make_queue(purge_after=100 * DAY)
    now = timezone.now()
    batch = enqueue_batch(do, [{"die": 1}])
    drain()
    worker = uuid.uuid4()
    for n, (state, age) in enumerate([("stopped", 8), ("stopped", 6), ("ready", 8)]):
        Worker.objects.create(
            id=uuid.uuid4(),
            name=f"w{n}",
            host="h",
            machine="m",
            pid=1,
            process_started=0,
            version="1",
            state=state,
            heartbeat_at=now - timedelta(days=age),
        )
    for age in (15, 15, 15, 13):
        Run.objects.create(
            queue=queue,
            worker_id=worker,
            lease_until=now,
            state="done",
            finished_at=now - timedelta(days=age),
            chunks=1,
            claimed=1,
        )
    Run.objects.create(
        queue=queue, worker_id=worker, lease_until=now, started_at=now - timedelta(days=99), chunks=1, claimed=1
    )
    for job, age in ((2**40, 31), (2**40 + 1, 31), (2**40 + 2, 31), (2**40 + 3, 29)):
        Attempt.objects.create(
            job_id=job, run_id=1, worker_id=worker, number=1, kind="error", finished_at=now - timedelta(days=age)
        )
    Attempt.objects.filter(job_id=batch.first_job_id).update(finished_at=now - timedelta(days=99))
    for n in range(3):
        JobResult.objects.create(job_id=2**40 + n, value="1", expires_at=now + timedelta(hours=1 - n))
    for age in (366, 366, 366, 364):
        entry = audit.record(actor="a", source="api", action="x", target="y")
        AuditEntry.objects.filter(pk=entry.pk).update(at=now - timedelta(days=age))
    for age in (91, 89, None):
        operation = Operation.objects.create(
            action="retry_dead",
            actor="a",
            source="api",
            state="running" if age is None else "done",
            finished_at=None if age is None else now - timedelta(days=age),
        )
        OperationItem.objects.bulk_create([OperationItem(operation=operation, job_id=n) for n in range(5)])
    expected = _done(workers=1, runs=3, attempts=3, results=2, audit=3, items=5, operations=0)
    assert purge(dry_run=True) == expected
    assert purge() == expected | {"operations": 1}
    assert purge() == _done()
    assert Attempt.objects.filter(job_id=batch.first_job_id).count() == 1
    assert Run.objects.filter(state="running").count() == 1
    assert Worker.objects.count() == 2
    assert_sound()


def test_endless_retention_is_possible() -> None:
    make_queue(purge_after=1e11)
    enqueue_batch(do, [{}] * 3)
    drain()
    archive()
    _age(300)
    assert purge()["archived jobs"] == 0
    assert Queue.objects.count() == 1


def test_a_ring_stops_in_time_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ROUND", 2)
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    enqueue_batch(do, [{}] * 10)
    drain()
    archive()
    _age(2)
    assert purge(seconds=0)["archived jobs"] == 2
    assert ArchivedJob.objects.count() == 8
    assert_sound()
    assert purge(seconds=None)["archived jobs"] == 8
    assert_sound()


def _trashed(**chosen: Any) -> Batch:
    """A batch in the trash, whole in the archive."""
    batch = enqueue_batch(do, [{"n": n} for n in range(25)], **chosen)
    drain()
    assert archive(seconds=None) == 25
    delete_batch(batch_id=batch.pk, keep=timedelta(hours=72), actor="ann", source="api")
    return batch


@pytest.mark.parametrize("split", [False, True])
def test_a_batch_in_the_trash_stays_whole(split: bool, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10 if split else 25
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    batch = _trashed(split=split)
    _age(2)
    assert purge(dry_run=True) == purge() == _done()
    assert (ArchivedJob.objects.count(), Batch.objects.count()) == (25, 4 if split else 1)
    restore_batch(batch_id=batch.pk, actor="ann", source="api")
    assert purge() == _done(jobs=25, batches=4 if split else 1)
    assert (ArchivedJob.objects.count(), Batch.objects.count(), Chunk.objects.count()) == (0, 0, 0)


def test_one_with_nothing_but_its_row_stays_too() -> None:
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    batch = enqueue_batch(do, [{}])
    drain()
    archive()
    ArchivedJob.objects.all().delete()
    delete_batch(batch_id=batch.pk, keep=timedelta(hours=72), actor="ann", source="api")
    _age(2)
    assert purge() == _done()
    assert Batch.objects.get().pk == batch.pk


def test_one_that_goes_to_the_trash_while_a_purge_runs_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(purge_after=DAY)
    make_queue("longest", purge_after=100 * DAY)
    batch, other = (enqueue_batch(do, [{}] * 3) for _ in range(2))
    drain()
    archive()
    _age(2)
    look = service._in_rounds

    def meanwhile(name: str, rows: Any, remove: Any, pace: Any) -> int:
        """After the look for keys, before their removal."""

        def trashed_first(jobs: list[Any]) -> int:
            delete_batch(batch_id=batch.pk, keep=timedelta(hours=72), actor="ann", source="api")
            return int(remove(jobs))

        return look(name, rows, trashed_first if name == "archived jobs" else remove, pace)

    monkeypatch.setattr(service, "_in_rounds", meanwhile)
    assert purge()["archived jobs"] == 3
    assert set(ArchivedJob.objects.values_list("batch_id", flat=True)) == {batch.pk} != {other.pk}


@pytest.mark.usefixtures("small_partitions")
def test_a_partition_with_jobs_of_a_batch_in_the_trash_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(purge_after=10 * DAY)
    _trashed()
    enqueue_batch(do, [{}] * 500)
    drain()
    archive(seconds=None)
    kept = {job // 100 for job in ArchivedJob.objects.order_by("pk").values_list("pk", flat=True)[:25]}
    made = set(partitions.existing())
    for _ in range(300):
        enqueue(do, {})
    _age(20)
    # As if the first look had come before the deletion: the one under the lock sees it.
    with monkeypatch.context() as patched:
        patched.setattr(partitions, "over", lambda *, before: sorted(made))
        assert set(partitions.drop(before=timezone.now())) == made - kept
    assert service.partitions_due() == []
    assert ArchivedJob.objects.filter(batch_id=Batch.objects.order_by("pk")[0].pk).count() == 25
