"""What has not succeeded has times of its own in the archive; dead letters that nobody came for go there too."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.utils import timezone

from queues import store
from queues.models import ArchivedJob, Attempt, Batch, Chunk, DeadLetter, Job, JobKey
from queues.selectors.archive import archive_statistics
from queues.selectors.batches import batch_counts
from queues.services import archive as service
from queues.services import archive_dead, cancel, operate, partitions
from queues.services.archive import archive, restore
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.purge import purge, purge_due_by_outcome
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db
DAY = 86_400.0


def _outcomes() -> Counter[str]:
    return Counter(ArchivedJob.objects.values_list("outcome", flat=True))


def _age(seconds: float) -> None:
    """Let everything that has ended have ended so long ago."""
    then = timezone.now() - timedelta(seconds=seconds)
    Chunk.objects.filter(finished_at__isnull=False).update(finished_at=then)
    DeadLetter.objects.update(died_at=then)


def _mixed(**policy: Any) -> Batch:
    """Two jobs succeeded, three are dead with their keys, one is cancelled: the batch is over."""
    make_queue(chunk_size=1, **policy)
    batch = enqueue_batch(do, [{"n": n, "die": n} for n in range(3)] + [{"k": n} for n in range(3)], key=str)
    drain(runs=5, want=1)
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead, batch.cancelled) == (2, 3, 1)
    return batch


def test_what_was_cancelled_waits_for_its_own_time() -> None:
    make_queue(chunk_size=2, archive_after=0, archive_cancelled_after=DAY)
    batch = enqueue_batch(do, [{}] * 6)
    drain(runs=1, want=2)
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    assert archive(dry_run=True) == archive() == 2
    assert _outcomes() == {"succeeded": 2}
    _age(DAY - 60)
    assert archive() == 0
    _age(DAY + 1)
    assert archive(dry_run=True) == archive() == 4
    assert _outcomes() == {"succeeded": 2, "cancelled": 4}
    assert_sound()


def test_what_was_cancelled_may_go_sooner_than_the_rest() -> None:
    make_queue(chunk_size=2, archive_after=DAY, archive_cancelled_after=60)
    batch = enqueue_batch(do, [{}] * 6)
    drain(runs=1, want=2)
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    _age(100)
    assert archive() == 4
    assert _outcomes() == {"cancelled": 4}
    assert_sound()


def test_dead_letters_nobody_came_for_are_archived_as_dead_and_the_batch_still_counts_them() -> None:
    batch = _mixed(archive_dead_after=DAY, archive_after=DAY)
    before = batch_counts([batch.pk])
    assert JobKey.objects.count() == 3
    _age(DAY - 60)
    assert archive() == 0
    _age(DAY + 1)
    [due] = service.due_by_outcome()
    assert (due.jobs, due.succeeded, due.cancelled, due.deleted, due.dead) == (6, 2, 1, 0, 3)
    assert archive() == 6
    assert _outcomes() == {"succeeded": 2, "cancelled": 1, "dead": 3}
    assert (DeadLetter.objects.count(), JobKey.objects.count(), Job.objects.count()) == (0, 0, 0)
    assert Attempt.objects.count() == 3
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead, batch.cancelled) == ("cancelled", 2, 3, 1)
    assert batch_counts([batch.pk], recount=[batch.pk]) == batch_counts([batch.pk]) == before
    assert_sound()


def test_without_the_policy_dead_letters_wait_for_a_person() -> None:
    _mixed()
    _age(100 * DAY)
    assert archive() == 3
    assert DeadLetter.objects.count() == 3


def test_the_dead_letter_of_a_running_batch_stays_and_later_ones_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "JOBS", 1)
    make_queue(chunk_size=1, archive_dead_after=0)
    running = enqueue_batch(do, [{"die": 1}, {}])
    drain(runs=1, want=1)
    single = enqueue(do, {"die": 2})
    drain(runs=1, want=1)
    drain()
    Batch.objects.filter(pk=running.pk).update(
        state="running", finished_at=None, succeeded=None, dead=None, cancelled=None
    )
    DeadLetter.objects.update(died_at=timezone.now() - timedelta(seconds=1))
    assert archive() == 1
    assert list(ArchivedJob.objects.values_list("pk", "outcome")) == [(single, "dead")]
    assert DeadLetter.objects.get().batch_id == running.pk


def test_a_restored_dead_job_has_all_its_attempts_again() -> None:
    batch = _mixed(archive_dead_after=0, max_attempts=2)
    _age(1)
    archive()
    dead = ArchivedJob.objects.filter(outcome="dead").order_by("pk").values_list("pk", flat=True)[0]
    result = restore(job_ids=[dead], actor="a", source="api")
    assert (result.jobs, result.batches) == (1, [batch.pk])
    job = Job.objects.get(pk=dead)
    assert (job.failures, job.chunk.state) == (0, "ready")
    counts = batch_counts([batch.pk])[batch.pk]
    assert (counts.waiting, counts.dead, counts.cancelled, counts.succeeded) == (1, 2, 1, 2)
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.dead, batch.cancelled) == ("partial", 3, 1)
    assert_sound()


@pytest.mark.parametrize(
    "step", ["archive_dead_lock", "archive_dead_end", "archive_lock", "archive_jobs", "archive_chunks"]
)
def test_killed_after_any_statement_the_letters_are_where_they_were(
    step: str, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    make_queue(archive_dead_after=0)
    enqueue_batch(do, [{"die": n} for n in range(3)], key=lambda p: str(p["die"]))
    drain()
    _age(1)
    archive_other = Chunk.objects.filter(state="done").update(archived_at=timezone.now())
    assert archive_other == 1
    before = [
        list(model.objects.order_by("pk").values_list()) for model in (Job, Chunk, DeadLetter, JobKey, ArchivedJob)
    ]

    class Killed(BaseException):
        pass

    def dying(verb: Any) -> Any:
        def call(name: str, /, **values: Any) -> Any:
            found = verb(name, **values)
            if name == step:
                raise Killed
            return found

        return call

    with monkeypatch.context() as patched:
        patched.setattr(store, "rows", dying(store.rows))
        patched.setattr(store, "run", dying(store.run))
        with pytest.raises(Killed):
            archive()
    after = [
        list(model.objects.order_by("pk").values_list()) for model in (Job, Chunk, DeadLetter, JobKey, ArchivedJob)
    ]
    assert after == before
    assert archive() == 3
    assert _outcomes() == {"dead": 3}
    assert_sound()


def test_a_letter_that_is_retried_meanwhile_is_left_alone(transactional_db: None) -> None:
    make_queue(archive_dead_after=0)
    enqueue_batch(do, [{"die": n} for n in range(3)], key=lambda p: str(p["die"]))
    drain()
    _age(1)
    chunk = Chunk.objects.get(state="parked")
    moved: list[int] = []

    def archiver() -> None:
        try:
            moved.append(archive())
        finally:
            connections.close_all()

    with store.atomic():
        Chunk.objects.select_for_update().get(pk=chunk.pk)
        other = threading.Thread(target=archiver)
        other.start()
        other.join()
    assert moved == [0]
    operate.start(action="retry_dead", selection={"all": True}, actor="a", source="api")
    # The look was before the retry, the lock comes after it.
    assert archive_dead.end_and_move(chunks=[chunk.pk], move=len) == 0
    assert (JobKey.objects.count(), Job.objects.count()) == (3, 3)
    assert_sound()


def test_each_outcome_is_purged_after_its_own_time() -> None:
    # Another queue keeps longer: nothing goes by whole partitions.
    make_queue("longer", purge_after=1_000 * DAY)
    _mixed(
        archive_dead_after=0,
        archive_cancelled_after=0,
        purge_after=30 * DAY,
        purge_cancelled_after=DAY,
        purge_dead_after=90 * DAY,
    )
    _age(1)
    assert archive() == 6
    for days, left in [(0.9, 6), (2, 5), (31, 3), (91, 0)]:
        then = timezone.now() - timedelta(days=days)
        ArchivedJob.objects.update(finished_at=then)
        Chunk.objects.update(finished_at=then)
        due = {group["outcome"]: group["jobs"] for group in purge_due_by_outcome()[0]}
        assert sum(due.values()) == purge(dry_run=True)["archived jobs"] == ArchivedJob.objects.count() - left
        purge()
        assert ArchivedJob.objects.count() == left, days
        assert_sound()


def test_a_partition_is_kept_as_long_as_any_outcome_is() -> None:
    _mixed(archive_dead_after=0, purge_after=DAY, purge_dead_after=90 * DAY)
    _age(1)
    archive()
    ArchivedJob.objects.update(finished_at=timezone.now() - timedelta(days=60))
    Chunk.objects.update(finished_at=timezone.now() - timedelta(days=60))
    assert purge()["archive partitions"] == 0
    assert _outcomes() == {"dead": 3}


@pytest.mark.usefixtures("no_partitions")
def test_statistics_and_dry_runs_by_outcome() -> None:
    batch = _mixed(archive_dead_after=0)
    _age(1)
    assert command("archive", "--stats").out == "the archive is empty\n"
    [due] = command("archive", "--dry-run", "--json").document
    assert (due["queue"], due["succeeded"], due["cancelled"], due["dead"]) == ("tested", 2, 1, 3)
    payload = sum(len(job.payload) for job in Job.objects.filter(batch=batch.pk))
    archive()
    found = archive_statistics()
    assert {(row.outcome, row.jobs, row.exact) for row in found.outcomes} == {
        ("succeeded", 2, True),
        ("cancelled", 1, True),
        ("dead", 3, True),
    }
    assert sum(row.bytes for row in found.outcomes) == payload
    assert [part.bytes > 0 for part in found.partitions] == [True]
    document = command("archive", "--stats", "--json").document
    assert {row["outcome"] for row in document["outcomes"]} == {"succeeded", "cancelled", "dead"}
    assert "succeeded" in command("archive", "--stats").out
    assert command("purge", "--dry-run", "--json").document["by_outcome"] == []


@pytest.mark.parametrize(
    "field", ["archive_cancelled_after", "archive_dead_after", "purge_cancelled_after", "purge_dead_after"]
)
def test_times_that_cannot_be_are_refused(field: str) -> None:
    queue = make_queue()
    for value in (-1.0, 1e11, float("nan")):
        setattr(queue, field, value)
        with pytest.raises(ValidationError) as refusal:
            queue.full_clean()
        assert field in refusal.value.message_dict


def test_the_look_at_what_has_not_succeeded_goes_by_its_own_index_in_order() -> None:
    partitions.ensure(ranges=[(1, 1)])
    with connection.cursor() as cursor:
        # The partition is nearly empty: reading it whole would be cheapest, and is not what is asked here.
        cursor.execute("SET LOCAL enable_seqscan = off")
        past = ArchivedJob.objects.filter(queue=1, finished_at__lt=timezone.now(), outcome__in=["cancelled"])
        plan = past.order_by("finished_at", "pk").explain()
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'archived_not_succeeded'::regclass"
        )
        own = {name for (name,) in cursor.fetchall()}
    assert any(f"using {name} on" in plan for name in own), (plan, own)
    assert "Sort" not in plan
