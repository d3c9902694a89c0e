"""Operations: one verb for many jobs, frozen, counted, and with a word for whatever is not possible."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues.domain.states import Priority
from queues.models import AuditEntry, Batch, Chunk, DeadLetter, Job, JobKey, Operation, OperationItem, TrashedJob
from queues.services import finish, operate
from queues.services.archive import archive
from queues.services.cancel import cancel_batch
from queues.services.delete import delete_batch
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.operate import OperationRefused, advance, advance_all, cancel_operation, start, undo
from queues.services.operation_round import Round
from queues.services.preview import preview
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def do(action: str, selection: dict[str, Any], **options: Any) -> Operation:
    """Ann does it."""
    return start(action=action, selection=selection, actor="ann", source="api", options=options or None)


def jobs_of(batch: Batch) -> list[int]:
    return list(range(batch.first_job_id or 0, (batch.last_job_id or 0) + 1))


def numbers(operation: Operation) -> tuple[str, int, int, int]:
    return operation.state, operation.total, operation.changed, operation.skipped


def test_waiting_jobs_are_cancelled_one_by_one_and_the_rest_runs() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(20)], key=lambda payload: f"k{payload['n']}")
    chosen = jobs_of(batch)[3:7]
    operation = do("cancel", {"job_ids": chosen})
    assert numbers(operation) == ("done", 4, 4, 0)
    assert operation.outcomes == {"cancelled": 4}
    assert JobKey.objects.count() == 16
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.cancelled) == ("partial", 16, 4)
    again = do("cancel", {"job_ids": chosen})
    assert (again.changed, again.outcomes) == (0, {"it is cancelled": 4})
    assert_sound()


def test_cancelling_all_that_waits_ends_the_batch() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{}] * 25)
    operation = do("cancel", {"state": "pending", "batch": batch.pk})
    assert numbers(operation) == ("done", 25, 25, 0)
    batch.refresh_from_db()
    assert (batch.state, batch.cancelled) == ("failed", 25)
    assert set(Chunk.objects.values_list("state", flat=True)) == {"cancelled"}
    assert_sound()
    assert archive() == 25
    assert_sound()


def test_cancelled_jobs_are_retried() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{}] * 15)
    do("cancel", {"job_ids": jobs_of(batch)[5:12]})
    operation = do("retry", {"job_ids": jobs_of(batch)[5:15]})
    assert operation.outcomes == {"retried": 7, "it is waiting": 3}
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 15)
    assert_sound()


def test_a_cancelled_batch_runs_after_all() -> None:
    make_queue(chunk_size=10, archive_after=3_600)
    batch = enqueue_batch("tested.do", [{}] * 35)
    do("cancel", {"job_ids": jobs_of(batch)[2:4]})
    drain(runs=1, want=10)
    other = enqueue_batch("tested.do", [{}] * 3)
    for one in (batch, other):
        cancel_batch(batch_id=one.pk, actor="ann", source="api")
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.cancelled) == ("cancelled", 8, 27)
    operation = do("retry", {"state": "cancelled", "batch": batch.pk})
    assert (numbers(operation), operation.outcomes) == (("done", 27, 27, 0), {"retried": 27})
    assert AuditEntry.objects.latest("pk").target == f"cancelled, batch {batch.pk}"
    assert_sound()
    drain()
    batch.refresh_from_db()
    other.refresh_from_db()
    assert (batch.state, batch.succeeded, other.state, other.cancelled) == ("completed", 35, "cancelled", 3)
    assert_sound()


def test_cancelled_parts_run_again_with_their_parent(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(chunk_size=10, archive_after=3_600)
    parent = enqueue_batch("tested.do", [{}] * 25, split=True)
    cancel_batch(batch_id=parent.pk, actor="ann", source="api")
    assert do("retry", {"state": "cancelled", "batch": parent.pk}).outcomes == {"retried": 25}
    parent.refresh_from_db()
    assert parent.state == "running"
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded) == ("completed", 25)
    assert_sound()


def test_a_retry_pulls_the_next_try_forward() -> None:
    make_queue(backoff_base=3_600, max_attempts=3)
    batch = enqueue_batch("tested.do", [{"fail": 1}, {}])
    drain()
    operation = do("retry", {"state": "retrying", "queue": "tested"})
    assert operation.outcomes == {"retried": 1}
    job = Job.objects.get(pk=batch.first_job_id)
    assert (job.failures, job.chunk.state, job.chunk.run_at <= timezone.now()) == (1, "ready", True)
    assert_sound()


def test_jobs_of_a_leased_chunk_are_tried_again_in_a_later_pass() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{}] * 20)
    with leased(want=10) as execution:
        operation = do("cancel", {"job_ids": jobs_of(batch)})
        assert numbers(operation) == ("running", 20, 10, 0)
        assert advance_all() >= 1
        operation.refresh_from_db()
        assert numbers(operation) == ("running", 20, 10, 0)
        execution.close()
    advance_all()
    operation.refresh_from_db()
    assert numbers(operation) == ("done", 20, 20, 0)
    assert_sound()


def test_what_succeeded_while_it_waited_is_an_outcome() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{}] * 5)
    with leased():
        operation = do("delete", {"job_ids": jobs_of(batch)})
        assert operation.state == "running"
    Chunk.objects.filter(batch=batch).update(state="done", succeeded=5, finished_at=timezone.now())
    advance_all()
    operation.refresh_from_db()
    assert operation.outcomes == {"it has succeeded": 5}


def test_waiting_jobs_are_deleted_and_restored_to_the_same_place() -> None:
    make_queue(chunk_size=10)
    later = timezone.now() + timedelta(hours=5)
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(12)], key=lambda p: str(p["n"]), run_at=later)
    chosen = jobs_of(batch)[:3]
    gone = do("delete", {"job_ids": chosen})
    assert gone.outcomes == {"deleted": 3}
    rows = TrashedJob.objects.order_by("pk")
    assert [(row.pk, row.was, row.unique_key, row.deleted_by) for row in rows] == [
        (job, "scheduled", str(n), "ann") for n, job in enumerate(chosen)
    ]
    assert_sound()
    back = undo(operation_id=gone.pk, actor="bob", source="api")
    assert numbers(back) == ("done", 3, 3, 0)
    chunk = Job.objects.get(pk=chosen[0]).chunk
    assert (chunk.state, abs(chunk.run_at - later) < timedelta(seconds=1), chunk.is_retry) == ("ready", True, False)
    assert (JobKey.objects.count(), TrashedJob.objects.count()) == (12, 0)
    assert_sound()


def test_a_key_that_somebody_took_meanwhile_keeps_its_job_in_the_trash() -> None:
    make_queue()
    first = enqueue("tested.do", {}, key="k")
    do("delete", {"job_ids": [first]})
    assert enqueue("tested.do", {}, key="k") is not None
    operation = do("restore", {"job_ids": [first]})
    assert (operation.changed, operation.outcomes) == (0, {"its unique key is taken by another job": 1})
    assert TrashedJob.objects.get().pk == first
    assert_sound()


def test_deleted_dead_letters_come_back_as_they_were() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {"die": 2}, {}], key=repr)
    drain()
    before = list(DeadLetter.objects.order_by("pk").values())
    keys = set(JobKey.objects.values_list("key", "job_id"))
    gone = do("delete_dead", {"batch": batch.pk})
    batch.refresh_from_db()
    assert (batch.dead, JobKey.objects.count()) == (0, 0)
    assert numbers(undo(operation_id=gone.pk, actor="ann", source="page")) == ("done", 2, 2, 0)
    batch.refresh_from_db()
    assert (batch.state, batch.dead) == ("partial", 2)
    assert list(DeadLetter.objects.order_by("pk").values()) == before
    assert set(JobKey.objects.values_list("key", "job_id")) == keys
    assert_sound()


def test_a_batch_that_had_ended_runs_again_when_waiting_jobs_come_back() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{}, {}])
    do("delete", {"state": "pending", "batch": batch.pk})
    batch.refresh_from_db()
    assert batch.state == "failed"
    do("restore", {"batch": batch.pk})
    batch.refresh_from_db()
    assert batch.state == "running"
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 2)
    assert_sound()


def test_what_leaves_the_trash_for_good_ends_as_deleted() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {"die": 2}, {}])
    drain()
    do("delete_dead", {"batch": batch.pk})
    one = do("empty", {"job_ids": [batch.first_job_id]})
    assert one.outcomes == {"removed": 1}
    assert TrashedJob.objects.count() == 1
    assert_sound()
    assert do("restore", {"job_ids": [batch.first_job_id]}).outcomes == {"no longer in the trash": 1}
    do("empty", {"all": True})
    assert TrashedJob.objects.count() == 0
    assert archive() == 3
    assert_sound()


def test_what_is_too_long_in_the_trash_is_forgotten(settings: Any) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {"die": 2}])
    drain()
    do("delete_dead", {"batch": batch.pk})
    do("restore", {"job_ids": [batch.first_job_id]})
    settings.TRASH_AFTER = 0
    archive()
    assert TrashedJob.objects.count() == 0
    assert DeadLetter.objects.get().pk == batch.first_job_id
    assert_sound()


def test_priority_changes_without_losing_the_place_in_line() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", [{}] * 12)
    due = Chunk.objects.order_by("pk")[0].run_at
    operation = do("priority", {"job_ids": jobs_of(batch)[:4]}, priority="high")
    assert operation.options == {"priority": Priority.HIGH.value}
    chunk = Job.objects.get(pk=batch.first_job_id).chunk
    assert (chunk.priority, chunk.size, chunk.is_retry) == (Priority.HIGH, 4, False)
    assert abs(chunk.run_at - due) < timedelta(seconds=0.05)
    assert do("priority", {"job_ids": jobs_of(batch)[:4]}, priority=1).outcomes == {"it is so already": 4}
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 12)


def test_jobs_move_to_another_queue_with_their_keys() -> None:
    make_queue(chunk_size=10)
    other = make_queue("other")
    enqueue("tested.do", {}, queue="other", key="1")
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(4)], key=lambda p: str(p["n"]))
    operation = do("queue", {"state": "waiting", "queue": "tested"}, queue="other")
    assert operation.outcomes == {"moved": 3, "its unique key is taken by another job": 1}
    assert JobKey.objects.filter(queue=other).count() == 4
    assert_sound()
    drain("other")
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 4)
    assert_sound()


def test_held_jobs_stay_held_wherever_they_go() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [{}])
    second = enqueue_batch("tested.do", [{}] * 4, after=[first])
    jobs = jobs_of(second)
    assert do("priority", {"job_ids": jobs[:2]}, priority="low").changed == 2
    do("delete", {"job_ids": jobs[1:]})
    do("restore", {"state": "trashed", "batch": second.pk})
    held = Chunk.objects.filter(batch=second, size__gt=0)
    assert {(chunk.state, chunk.held_why) for chunk in held} == {("held", "stage")}
    assert_sound()
    drain()
    second.refresh_from_db()
    assert (second.state, second.succeeded) == ("completed", 4)
    assert_sound()


def test_a_stopping_batch_takes_nothing_back() -> None:
    make_queue(max_attempts=1, chunk_size=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}, {}])
    drain(runs=1, want=1)
    Batch.objects.filter(pk=batch.pk).update(stop_reason="cancelled")
    assert do("retry", {"batch": batch.pk}).outcomes == {"its batch is stopping": 1}
    assert do("priority", {"state": "pending", "batch": batch.pk}, priority="low").changed == 0
    assert_sound()


def test_the_bounds_of_a_preview_leave_alone_what_came_later() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{}] * 3)
    bounds = {"until": timezone.now().isoformat(), "top": batch.last_job_id}
    enqueue_batch("tested.do", [{}] * 3)
    assert do("cancel", {"state": "pending", "queue": "tested", **bounds}).total == 3


def test_an_operation_ends_with_its_outcome_in_the_audit() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}])
    drain()
    do("retry", {"job_ids": jobs_of(batch)})
    entry = AuditEntry.deeds().get()
    assert (entry.actor, entry.action, entry.target) == ("ann", "retry jobs", "2 jobs")
    assert entry.outcome["outcomes"] == {"retried": 1, "it has succeeded": 1}
    assert (entry.outcome["state"], entry.outcome["changed"], entry.outcome["jobs"]) == ("done", 1, 2)


def test_a_cancelled_operation_leaves_the_rest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    monkeypatch.setattr(operate, "ROUND", 4)
    make_queue()
    batch = enqueue_batch("tested.do", [{}] * 10)
    operation = do("delete", {"state": "pending", "batch": batch.pk})
    assert advance(operation_id=operation.pk)
    assert cancel_operation(operation_id=operation.pk, actor="bob", source="page")
    assert not cancel_operation(operation_id=operation.pk)
    assert advance_all() == 0
    operation.refresh_from_db()
    assert numbers(operation) == ("cancelled", 10, 4, 0)
    assert AuditEntry.deeds().get(action="delete jobs").outcome["by"] == "bob"
    assert undo(operation_id=operation.pk, actor="ann", source="api").total == 4
    assert_sound()


def test_a_round_that_dies_has_done_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=3)
    batch = enqueue_batch("tested.do", [{}] * 10)

    make = Round.make

    def dies(self: Round) -> Any:
        make(self)
        raise RuntimeError("gone")

    for action, options in (("cancel", {}), ("delete", {}), ("priority", {"priority": "low"})):
        with monkeypatch.context() as patched, pytest.raises(RuntimeError):
            patched.setattr(Round, "make", dies)
            do(action, {"batch": batch.pk, "state": "pending"}, **options)
        operation = Operation.objects.latest("pk")
        left = OperationItem.objects.filter(operation=operation, outcome="").count()
        assert (numbers(operation), left) == (("running", 10, 0, 0), 10)
        assert TrashedJob.objects.count() == 0
        assert_sound()
        assert cancel_operation(operation_id=operation.pk)
    operation = do("cancel", {"batch": batch.pk})
    assert operation.changed == 10


@pytest.mark.parametrize(
    ("action", "selection", "options", "said"),
    [
        ("explode", {"all": True}, {}, "unknown action"),
        ("priority", {"all": True}, {}, "which priority"),
        ("priority", {"all": True}, {"priority": "urgent"}, "not one of critical"),
        ("queue", {"all": True}, {"queue": "nobody"}, "unknown queue"),
        ("cancel", {"all": True}, {"queue": "tested"}, "says nothing here"),
        ("cancel", {"state": "succeeded", "queue": "tested"}, {}, "is not one of"),
        ("cancel", {"queue": "tested", "fingerprint": "x"}, {}, "some of"),
        ("delete", {"state": "cancelled", "queue": "tested"}, {}, "cancelled jobs can be retried"),
        ("cancel", {"job_ids": list(range(1, 10_002))}, {}, "at most"),
        ("cancel", {"job_ids": [0]}, {}, "numbers from 1"),
        ("restore", {"operation": 1, "queue": "tested"}, {}, "nothing else"),
        ("cancel", {"queue": "tested"}, {}, "no job matches"),
        ("retry", {"queue": "tested"}, {}, "no dead letter matches"),
    ],
)
def test_refusals_write_nothing(action: str, selection: dict[str, Any], options: dict[str, Any], said: str) -> None:
    make_queue()
    with pytest.raises(OperationRefused, match=said):
        do(action, selection, **options)
    assert (Operation.objects.count(), AuditEntry.deeds().count(), OperationItem.objects.count()) == (0, 0, 0)


def test_only_a_deletion_that_has_ended_is_undone() -> None:
    make_queue()
    enqueue_batch("tested.do", [{}] * 3)
    other = do("cancel", {"all": True})
    for number, said in ((other.pk, "only a deletion"), (2**40, "unknown operation")):
        with pytest.raises(OperationRefused, match=said):
            undo(operation_id=number, actor="ann", source="api")


def test_a_deleted_batch_takes_its_trash_along() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}])
    drain()
    do("delete_dead", {"batch": batch.pk})
    operation = delete_batch(batch_id=batch.pk, actor="ann", source="api")
    while advance(operation_id=operation.pk):
        pass
    assert (TrashedJob.objects.count(), Job.objects.count(), Batch.objects.count()) == (0, 0, 0)
    assert_sound()


def test_who_asked_before_a_job_died_again_does_not_retry_that_death(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}] * 3)
    drain()
    # Two people ask for the same at once; the second operation gets its turn when the first is done.
    monkeypatch.setattr(operate, "AT_ONCE", 0)
    first, second = (do("retry_dead", {"batch": batch.pk}) for _ in range(2))
    while advance(operation_id=first.pk):
        pass
    drain()
    while advance(operation_id=second.pk):
        pass
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.outcomes == {"retried": 3}
    assert second.outcomes == {"it has died again since it was asked for": 3}
    assert set(DeadLetter.objects.values_list("attempts", flat=True)) == {2}
    assert_sound()


def test_an_ended_part_of_a_batch_that_stops_takes_no_work_back() -> None:
    make_queue(max_attempts=1, chunk_size=5_000)
    parent = enqueue_batch("tested.do", ({} for _ in range(10_001)), split=True)
    first, last = parent.parts.order_by("part")
    with leased(want=1):
        cancel_batch(batch_id=parent.pk, actor="ann", source="api")
        assert list(Batch.objects.order_by("pk").values_list("state", flat=True)) == ["running", "running", "cancelled"]
        selection = {"state": "cancelled", "batch": last.pk}
        assert preview(action="retry", selection=selection).eligible == 0
        assert do("retry", selection).outcomes == {"its batch is stopping": 1}
    finish.finish(batches=[first.pk, parent.pk])
    assert set(Batch.objects.values_list("state", flat=True)) == {"cancelled"}
    assert_sound()
