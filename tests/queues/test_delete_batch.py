"""Deleting a finished batch: everything of it and nothing else, however often it is interrupted."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.test import Client
from psycopg import errors

from queues import store
from queues.models import (
    ArchivedJob,
    Attempt,
    AuditEntry,
    Batch,
    BatchLink,
    Chunk,
    DeadLetter,
    Job,
    JobKey,
    JobResult,
    Operation,
    Run,
)
from queues.selectors.batches import batch_counts
from queues.services import cancel, delete, operate, steps
from queues.services.archive import archive, restore
from queues.services.delete import DeleteRefused, delete_batch
from queues.services.enqueue import EnqueueError, add_jobs, enqueue, enqueue_batch, seal
from tests.checker import assert_sound
from tests.queues.admin_asking import act, ask
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db
OF_JOBS = (Job, ArchivedJob, Attempt, DeadLetter, JobKey, JobResult)


def rows_of_all() -> dict[str, list[Any]]:
    return {model.__name__: list(model.objects.order_by("pk").values_list()) for model in (*OF_JOBS, Chunk, Batch)}


def a_world() -> Batch:
    """Succeeded, dead and archived jobs, results, tries and keys; another batch of the same kind stays."""
    make_queue(chunk_size=3, max_attempts=1, keep_results=3600, archive_after=3600)
    batch = enqueue_batch(do, [{"n": n, **({"die": n} if n % 4 == 0 else {"value": n})} for n in range(10)], key=str)
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.dead) == ("partial", 3)
    return batch


def _delete(batch: Batch) -> Operation:
    operation = delete_batch(batch_id=batch.pk, actor="ann", source="api", reason="old")
    while operate.advance(operation_id=operation.pk):
        pass
    operation.refresh_from_db()
    return operation


def test_everything_of_it_goes_and_nothing_else() -> None:
    make_queue("other", archive_after=0)
    batch = a_world()
    runs = Run.objects.count()
    kept = enqueue_batch(do, [{"die": 1}, {"value": 2}], queue="other")
    single = enqueue(do, {"die": 3}, queue="other")
    drain("other")
    before = rows_of_all()
    operation = _delete(batch)
    assert (operation.state, operation.total, operation.changed) == ("done", 10, 10)
    assert list(Batch.objects.values_list("pk", flat=True)) == [kept.pk]
    assert {job.pk for job in Job.objects.all()} == {
        single,
        *range(kept.first_job_id or 0, (kept.last_job_id or 0) + 1),
    }
    assert DeadLetter.objects.count() == Attempt.objects.count() == 2
    assert (JobKey.objects.count(), JobResult.objects.filter(job_id__lte=batch.last_job_id).count()) == (0, 0)
    assert Run.objects.count() == runs + Run.objects.filter(queue__name="other").count()
    assert len(before["Chunk"]) > Chunk.objects.count() == Chunk.objects.filter(queue__name="other").count()
    entry = AuditEntry.deeds().get()
    assert (entry.actor, entry.action, entry.target, entry.reason) == (
        "ann",
        "delete batch",
        f"batch {batch.pk}",
        "old",
    )
    assert_sound()


def test_archived_jobs_go_too() -> None:
    batch = a_world()
    from queues.models import Queue

    Queue.objects.update(archive_after=0)
    assert archive() == 7
    _delete(batch)
    assert [model.objects.count() for model in OF_JOBS] == [0] * 6
    assert (Chunk.objects.count(), Batch.objects.count()) == (0, 0)


def test_a_parent_goes_with_its_parts_and_a_part_not_alone(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 4
    make_queue(chunk_size=2)
    batch = enqueue_batch(do, [{}] * 10, split=True)
    drain()
    part = batch.parts.first()
    assert part is not None
    with pytest.raises(DeleteRefused, match=f"is a part: delete its parent {batch.pk}"):
        _delete(part)
    assert _delete(batch).changed == 10
    assert (Batch.objects.count(), Chunk.objects.count(), Job.objects.count()) == (0, 0, 0)


def test_what_still_works_waits_or_is_open_is_refused() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}], open=True)
    for _state in ("open", "waiting", "running"):
        with pytest.raises(DeleteRefused, match="cancel it first"):
            _delete(batch)
        if _state == "open":
            add_jobs(batch, [{}])
            seal(batch)
    with leased(), pytest.raises(DeleteRefused, match="cancel it first"):
        _delete(batch)
    with pytest.raises(DeleteRefused, match="unknown batch 99999"):
        delete_batch(batch_id=99999, actor="a", source="api")
    assert (Operation.objects.count(), AuditEntry.deeds().count()) == (0, 0)


def test_cancelled_first_it_can_be_deleted() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 3, key=lambda payload: "one")
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    assert _delete(batch).state == "done"
    assert_sound()


def test_one_that_another_waits_for_is_refused() -> None:
    make_queue()
    batch, follower = enqueue_batch(do, [{}]), enqueue_batch(do, [{}])
    drain()
    BatchLink.objects.create(before=batch, after=follower)
    Batch.objects.filter(pk=follower.pk).update(
        state="running", finished_at=None, succeeded=None, dead=None, cancelled=None
    )
    Chunk.objects.filter(batch=follower).update(state="held", held_why="stage", finished_at=None, succeeded=0)
    with pytest.raises(DeleteRefused, match=f"batch {follower.pk} waits for batch {batch.pk}"):
        _delete(batch)
    BatchLink.objects.all().delete()
    assert _delete(batch).state == "done"


def _ended_with_a_step_to_make() -> tuple[Batch, int]:
    """A batch whose results become another one, by a job that has not run yet."""
    make_queue(keep_results=3600, archive_after=3600)
    batch = enqueue_batch(do, [{"value": 1}, {"value": 2}], then="tested.do")
    assert drain(runs=1) == 1
    batch.refresh_from_db()
    assert batch.state == "completed"
    return batch, Job.objects.get(batch=None).pk


@pytest.mark.parametrize("keep", [None, timedelta(hours=72)])
def test_one_whose_next_step_is_still_to_be_made_is_refused(keep: timedelta | None) -> None:
    batch, job = _ended_with_a_step_to_make()
    other = enqueue_batch(do, [{"value": 3}], then="tested.do", priority="high")
    assert drain(runs=1) == 1
    with pytest.raises(DeleteRefused, match=f"results of batch {batch.pk} is still to be made, by job {job}: wait for"):
        delete_batch(batch_id=batch.pk, actor="ann", source="api", keep=keep)
    assert (Operation.objects.count(), AuditEntry.deeds().count()) == (0, 0)
    drain()
    (step,) = Batch.objects.filter(links_before__before=batch)
    assert (step.total, step.state) == (2, "completed")
    assert [_delete(one).state for one in (batch, other)] == ["done", "done"]
    assert Batch.objects.filter(pk=step.pk).exists()
    assert_sound()


def test_nor_is_the_step_lost_that_died_until_a_person_gives_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, job = _ended_with_a_step_to_make()

    def refused(**_values: Any) -> None:
        raise steps.StepRefused("not today")

    with monkeypatch.context() as patched:
        patched.setattr(steps, "make_step", refused)
        drain()
    assert DeadLetter.objects.get().job_id == job
    with pytest.raises(DeleteRefused, match=f"could not be made: retry or delete dead letter {job} first"):
        _delete(batch)
    operate.start(action="delete_dead", selection={"job_ids": [job]}, actor="ann", source="api")
    assert _delete(batch).state == "done"
    # Brought back and tried again, it says what has become of its batch.
    operate.start(action="restore", selection={"job_ids": [job]}, actor="ann", source="api")
    operate.start(action="retry_dead", selection={"job_ids": [job]}, actor="ann", source="api")
    drain()
    assert (
        f"batch {batch.pk} is not there any more: nothing can be made of its results"
        in DeadLetter.objects.get().message
    )


def test_a_step_that_was_cancelled_or_has_nothing_to_make_keeps_no_batch() -> None:
    batch, job = _ended_with_a_step_to_make()
    operate.start(action="cancel", selection={"job_ids": [job]}, actor="ann", source="api")
    assert _delete(batch).state == "done"
    without = enqueue_batch(do, [{}], then="tested.do")
    drain()
    assert _delete(without).state == "done"


def test_a_follower_of_many_parts_is_seen(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 2
    make_queue()
    first, second = enqueue_batch(do, [{}]), enqueue_batch(do, [{}], priority="low")
    follower = enqueue_batch(do, [{}] * 5, split=True, after=[first, second])
    assert drain(runs=1, want=1) == 1
    first.refresh_from_db()
    assert first.state == "completed"
    with pytest.raises(DeleteRefused, match=f"batch {follower.pk} waits for batch {first.pk}"):
        _delete(first)
    drain()
    assert _delete(first).state == "done"
    assert_sound()


def test_half_deleted_it_is_a_smaller_sound_batch_and_goes_on_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete, "JOBS", 1)
    batch = a_world()
    operation = delete_batch(batch_id=batch.pk, actor="a", source="api")
    steps = 0
    while True:
        before = rows_of_all()

        def dying(*_args: Any, **_values: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            # As if the process had ended after all statements of the round, before its commit.
            patched.setattr(Operation, "save", dying)
            with pytest.raises(KeyboardInterrupt):
                operate.advance(operation_id=operation.pk)
        assert rows_of_all() == before
        more = operate.advance(operation_id=operation.pk)
        assert_sound()
        if not more:
            break
        steps += 1
        left = Batch.objects.get(pk=batch.pk)
        counts = batch_counts([batch.pk], recount=[batch.pk])[batch.pk]
        assert (left.total, left.succeeded, left.dead) == (counts.total, counts.succeeded, counts.dead)
    assert steps == 5
    # Asked again after its end: there is nothing there.
    with pytest.raises(DeleteRefused, match="unknown batch"):
        _delete(batch)


def test_the_ring_goes_on_with_it_and_asking_twice_is_one_deletion() -> None:
    batch = a_world()
    first = delete_batch(batch_id=batch.pk, actor="a", source="api")
    again = delete_batch(batch_id=batch.pk, actor="a", source="api")
    assert (first.pk, AuditEntry.deeds().count()) == (again.pk, 1)
    operate.advance_all()
    assert Batch.objects.count() == 0


def test_jobs_retried_meanwhile_end_the_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete, "JOBS", 1)
    batch = a_world()
    operation = delete_batch(batch_id=batch.pk, actor="a", source="api")
    operate.advance(operation_id=operation.pk)
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="b", source="api")
    assert operate.advance(operation_id=operation.pk) is False
    operation.refresh_from_db()
    assert (operation.state, operation.changed, Batch.objects.get().state) == ("cancelled", 2, "running")
    assert_sound()
    drain()
    assert _delete(batch).state == "done"
    assert_sound()


def test_restored_jobs_end_the_deletion_too() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 4)
    drain()
    archive()
    operation = delete_batch(batch_id=batch.pk, actor="a", source="api")
    restore(job_ids=[batch.first_job_id or 0], actor="b", source="api")
    operate.advance(operation_id=operation.pk)
    operation.refresh_from_db()
    assert (operation.state, Batch.objects.get().total) == ("cancelled", 4)
    assert_sound()


def _told() -> list[tuple[str, str, str, dict[str, Any]]]:
    """The entries about a batch that left the trash."""
    entries = AuditEntry.deeds().filter(action="restore batch")
    return list(entries.values_list("actor", "source", "reason", "outcome"))


def test_who_has_jobs_of_it_run_again_takes_it_out_of_the_trash_and_that_is_told() -> None:
    batch = a_world()
    trashed = delete_batch(batch_id=batch.pk, actor="ann", source="page", keep=timedelta(hours=72))
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="bob", source="page", reason="fixed")
    assert _told() == [("bob", "page", "fixed", {"operation": trashed.pk, "why": "jobs of it run again"})]
    trashed.refresh_from_db()
    assert (trashed.state, delete.deleted(batch.pk)) == ("cancelled", False)
    # A batch that is in no trash leaves none.
    drain()
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="bob", source="page")
    assert AuditEntry.deeds().filter(action="restore batch").count() == 1


def test_so_does_who_restores_jobs_of_it_from_the_archive() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 4)
    drain()
    archive()
    trashed = delete_batch(batch_id=batch.pk, actor="ann", source="page", keep=timedelta(hours=72))
    restore(job_ids=[batch.first_job_id or 0], actor="bob", source="command", reason="once more")
    assert _told() == [("bob", "command", "once more", {"operation": trashed.pk, "why": "jobs of it run again"})]
    assert not delete.deleted(batch.pk)
    assert_sound()


def test_the_admin_deletes_for_good_and_finds_by_metadata_for_those_who_may(client: Client) -> None:
    batch = a_world()
    Batch.objects.filter(pk=batch.pk).update(metadata={"region": "eu"})
    person = User.objects.create_user("ann", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_console"))
    client.force_login(person)
    page = "/admin/queues/batch/"
    assert f'value="{batch.pk}"' not in client.get(page, {"q": "region=us"}).content.decode()
    act(client, page, "delete_finished", [batch.pk])
    assert Operation.objects.count() == 0
    person.user_permissions.add(Permission.objects.get(codename="operate"))
    assert f'value="{batch.pk}"' in client.get(page, {"q": "region=eu"}).content.decode()
    assert "7 completed, 0 failed, 3 dead" in (shown := client.get(f"{page}{batch.pk}/change/").content.decode())
    assert "success rate 70.00%" in shown
    act(client, page, "delete_finished", [batch.pk])
    assert Operation.objects.count() == 0, "who may operate puts into the trash; for good is a right of its own"
    person.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    ask(client, page, "delete_finished", [batch.pk])
    assert Operation.objects.count() == 0, "a question has done nothing"
    act(client, page, "delete_finished", [batch.pk], reason="asked for")
    operation = Operation.objects.get()
    assert (operation.selection, operation.reason) == ({"batch": batch.pk}, "asked for")
    operate.advance_all()
    assert not Batch.objects.exists()
    assert store.one("unfinished", batch=batch.pk) is False


def test_the_key_of_a_deleted_batch_does_not_lead_into_the_trash() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1], idempotency_key="nightly")
    drain()
    delete_batch(batch_id=batch.pk, keep=timedelta(hours=1), actor="ann", source="test")
    with pytest.raises(EnqueueError, match=f"'nightly' belongs to batch {batch.pk}, which is deleted: restore it"):
        enqueue_batch("tested.do", [1], idempotency_key="nightly")


def test_an_operation_that_is_held_up_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    batches = [enqueue_batch("tested.do", [1]) for _ in range(2)]
    drain()
    for batch in batches:
        delete_batch(batch_id=batch.pk, actor="ann", source="test")
    whole = operate.advance

    def held_up(*, operation_id: int) -> bool:
        if operation_id == Operation.objects.order_by("pk").values_list("pk", flat=True)[0]:
            raise OperationalError from errors.QueryCanceled()
        return whole(operation_id=operation_id)

    monkeypatch.setattr(operate, "advance", held_up)
    operate.advance_all()
    assert list(Batch.objects.values_list("pk", flat=True)) == [batches[0].pk]
