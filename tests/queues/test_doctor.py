"""The doctor finds each kind of drift, names the row, and says nothing about sound data."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from queues.models import Batch, Chunk, DeadLetter, Job, JobKey, QueueSlot, TrashedJob
from queues.services import operate
from queues.services.doctor import check_counts
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def _told() -> list[str]:
    return [f"{problem.subject}: {problem.message}" for problem in check_counts()]


def _mixed() -> Batch:
    make_queue(chunk_size=10, max_attempts=2, backoff_base=3600)
    payloads = [{"die": n} if n % 7 == 0 else {"fail": n} if n % 5 == 0 else {"n": n} for n in range(40)]
    return enqueue_batch("tested.do", payloads)


def test_sound_through_a_whole_life() -> None:
    batch = _mixed()
    assert_sound()
    with leased(want=20) as execution:
        assert_sound()
        execution.succeeded += [1, 2]
        execution._settle(execution._ended(), final=False)
        assert_sound()
    assert_sound()
    drain()
    assert_sound()
    assert Chunk.objects.filter(batch=batch, state="parked").exists()
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="a", source="api")
    assert_sound()


def test_sound_with_keys_and_parts(settings: object) -> None:
    settings.BATCH_MAX_JOBS = 10  # type: ignore[attr-defined]
    make_queue()
    enqueue("tested.do", {"n": 1}, key="one")
    enqueue_batch("tested.do", [{"n": n} for n in range(25)], split=True)
    enqueue_batch("tested.do", [{"n": n} for n in range(5)], key=lambda p: f"k{p['n']}")
    assert_sound()
    drain()
    assert not JobKey.objects.exists()
    assert_sound()


DRIFTS: list[tuple[str, Callable[[Batch], object], str]] = [
    ("size", lambda b: Chunk.objects.filter(state="ready").update(size=99), "jobs point to it"),
    ("lost job", lambda b: Job.objects.filter(pk=b.first_job_id).delete(), "jobs point to it"),
    ("total", lambda b: Batch.objects.update(total=41), "total is 41, but its chunks hold 40"),
    (
        "bits",
        lambda b: Chunk.objects.filter(state="ready").update(succeeded=1),
        "succeeded is 1, but 0 bits are set among its jobs",
    ),
    (
        "own state",
        lambda b: Job.objects.filter(chunk__state="ready").update(own_state="cancelled"),
        "cancelled is 0, but",
    ),
    (
        "stray job",
        lambda b: Job.objects.filter(pk=b.first_job_id).update(chunk_id=987_654),
        "its chunk 987654 does not exist",
    ),
    (
        "job of another batch",
        lambda b: Job.objects.filter(pk=b.first_job_id).update(batch_id=None),
        "is of another batch",
    ),
    ("dead letter lost", lambda b: DeadLetter.objects.all().delete(), "dead letters expected, 0 found"),
    (
        "dead letter too many",
        lambda b: DeadLetter.objects.create(job_id=2**40, queue_id=b.queue_id, handler="h", reason="x", attempts=1),
        "its job is not parked as dead",
    ),
    (
        "finished too early",
        lambda b: Batch.objects.update(state="completed", finished_at=b.created_at, succeeded=1, dead=0, cancelled=0),
        "it is completed, but",
    ),
    (
        "leased by nobody",
        lambda b: Chunk.objects.filter(state="ready").update(state="leased", run_id=2**40),
        "leased by a run that is gone",
    ),
    (
        "deleted job that is not in the trash",
        lambda b: TrashedJob.objects.create(
            job_id=b.first_job_id, queue_id=b.queue_id, handler="h", was="dead", operation_id=0
        ),
        "it is not parked in the trash",
    ),
    ("key", lambda b: JobKey.objects.create(queue_id=b.queue_id, key="k", job_id=2**40), "has ended"),
    (
        "slot",
        lambda b: QueueSlot.objects.create(queue_id=b.queue_id, number=1, run_id=2**40),
        "which is gone",
    ),
]


@pytest.mark.parametrize(("drift", "said"), [row[1:] for row in DRIFTS], ids=[row[0] for row in DRIFTS])
def test_each_drift_is_told(drift: Callable[[Batch], object], said: str) -> None:
    batch = _mixed()
    drain(runs=1)
    batch.refresh_from_db()
    assert_sound()
    drift(batch)
    told = _told()
    assert any(said in line for line in told), told
    with pytest.raises(AssertionError, match="not sound"):
        assert_sound()


def test_pages_reach_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from queues.services import counts

    monkeypatch.setattr(counts, "CHUNKS", 3)
    monkeypatch.setattr(counts, "BATCHES", 2)
    monkeypatch.setattr(counts, "JOBS", 7)
    make_queue(chunk_size=2)
    batches = [enqueue_batch("tested.do", [{"n": n} for n in range(9)]) for _ in range(5)]
    assert_sound()
    Chunk.objects.filter(batch=batches[-1]).update(bytes=0)
    last = Chunk.objects.order_by("-pk")[0]
    Job.objects.filter(chunk_id=last.pk).delete()
    assert _told() == [f"chunk {last.pk} of batch {batches[-1].pk}: size is 1, but 0 jobs point to it"]


class _Undo(Exception):
    pass


def test_nothing_is_written() -> None:
    _mixed()
    with pytest.raises(_Undo), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        check_counts()
        raise _Undo
