"""Restore: archived jobs run again, counts stay true all the way, and refusals change nothing."""

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connections

from queues.models import ArchivedJob, AuditEntry, Batch, Chunk, Job, Queue
from queues.services import operate
from queues.services.archive import RestoreRefused, archive, restore
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db


def _outcomes() -> Counter[str]:
    return Counter(ArchivedJob.objects.values_list("outcome", flat=True))


def _state() -> tuple[Any, ...]:
    """Every row that an archiver or a restore may change."""
    return tuple(
        tuple(model.objects.order_by("pk").values_list()) for model in (Job, ArchivedJob, Chunk, Batch, AuditEntry)
    )


def _archived_batch(jobs: int = 20, **policy: Any) -> Batch:
    make_queue(chunk_size=10, **policy)
    batch = enqueue_batch(do, [{"n": n} for n in range(jobs)])
    drain()
    assert archive() == jobs
    batch.refresh_from_db()
    return batch


def test_restored_jobs_run_again_and_are_archived_again() -> None:
    batch = _archived_batch()
    assert batch.first_job_id is not None
    ids = [batch.first_job_id, batch.first_job_id + 1, batch.first_job_id + 15]
    result = restore(job_ids=ids, actor="ann", source="api", reason="once more")
    assert (result.jobs, result.batches) == (3, [batch.pk])
    assert_sound()
    batch.refresh_from_db()
    assert (batch.state, batch.finished_at, batch.succeeded, batch.generation) == ("running", None, None, 1)
    assert list(Job.objects.order_by("pk").values_list("pk", "chunk_id")) == [(i, result.chunks[0]) for i in ids]
    assert sorted(Chunk.objects.filter(archived_at__isnull=False).values_list("size", "succeeded")) == [(8, 8), (9, 9)]
    entry = AuditEntry.objects.get(action="restore jobs")
    assert (entry.actor, entry.source, entry.reason, entry.outcome) == ("ann", "api", "once more", {"jobs": 3})
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.generation) == ("completed", 20, 2)
    assert_sound()
    assert archive() == 3
    assert ArchivedJob.objects.count() == 20
    assert_sound()


def test_restore_of_deleted_and_cancelled_jobs_keeps_the_counts(settings: Any) -> None:
    settings.TRASH_AFTER = 0
    make_queue(chunk_size=10)
    batch = enqueue_batch(do, [{"die": 1}, {"n": 1}])
    drain()
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="a", source="api")
    assert archive() == 2
    assert _outcomes() == {"succeeded": 1, "deleted": 1}
    restore(batch=batch.pk, actor="a", source="api")
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 1, 1)
    assert_sound()


def test_restore_reopens_the_parent(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue()
    parent = enqueue_batch(do, [{"n": n} for n in range(25)], split=True)
    drain()
    assert archive() == 25
    part = parent.parts.get(part=2)
    restore(job_ids=[part.first_job_id or 0], actor="a", source="api")
    assert set(Batch.objects.filter(state="running").values_list("pk", flat=True)) == {parent.pk, part.pk}
    assert_sound()
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded) == ("completed", 25)
    restore(batch=parent.pk, actor="a", source="api")
    assert Job.objects.count() == 25
    assert_sound()


def test_restore_of_single_jobs() -> None:
    make_queue()
    ids = [enqueue(do, {"n": n}) for n in range(3)]
    drain()
    archive()
    restore(job_ids=[ids[1] or 0], actor="a", source="api")
    assert_sound()
    drain()
    assert archive() == 1
    assert ArchivedJob.objects.count() == 3
    assert_sound()


def test_restore_refuses_with_nothing_changed() -> None:
    batch = _archived_batch(10)
    first = batch.first_job_id or 0
    before = _state()
    refusals: list[tuple[dict[str, Any], str]] = [
        ({}, "name jobs, or a batch"),
        ({"job_ids": [first], "batch": batch.pk}, "name jobs, or a batch"),
        ({"job_ids": []}, "1 to 1,000"),
        ({"job_ids": list(range(1, 1_002))}, "1,001 jobs"),
        ({"job_ids": [first, 2**40]}, f"not in the archive: job {2**40}"),
        ({"batch": 2**40}, "has no archived jobs"),
    ]
    for arguments, said in refusals:
        with pytest.raises(RestoreRefused, match=said):
            restore(**arguments, actor="a", source="api")
        assert _state() == before


def test_restore_refuses_when_batch_stops_or_queue_is_gone() -> None:
    batch = _archived_batch(10)
    restore(job_ids=[batch.first_job_id or 0], actor="a", source="api")
    Batch.objects.update(stop_reason="cancelled")
    with pytest.raises(RestoreRefused, match="is stopping"):
        restore(job_ids=[(batch.first_job_id or 0) + 1], actor="a", source="api")
    Batch.objects.update(stop_reason="")
    enqueue(do, {})
    drain()
    archive()
    single = ArchivedJob.objects.get(batch_id=None)
    ArchivedJob.objects.filter(pk=single.pk).update(queue_id=2**40)
    before = _state()
    with pytest.raises(RestoreRefused, match="the queue of some of these jobs is not there any more"):
        restore(job_ids=[single.pk], actor="a", source="api")
    assert _state() == before
    assert Queue.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_restores_of_one_job_bring_it_back_once() -> None:
    batch = _archived_batch(10)
    said: list[str] = []
    start = threading.Barrier(3)

    def work() -> None:
        try:
            start.wait(10)
            restore(job_ids=[batch.first_job_id or 0], actor="a", source="api")
            said.append("restored")
        except RestoreRefused:
            said.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(said) == ["refused", "refused", "restored"]
    assert Job.objects.count() == 1
    assert_sound()
