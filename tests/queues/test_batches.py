"""The end of a batch, and the ways to stop one before it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from queues.domain.outcomes import Cancel, Fail, Job, Reject, Snooze
from queues.models import Attempt, AuditEntry, Batch, Chunk, DeadLetter, JobKey, Run
from queues.models import Job as JobRow
from queues.services import finish, operate, reap
from queues.services.cancel import CancelRefused, cancel_batch
from queues.services.enqueue import add_jobs, enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def states() -> Counter[str]:
    """How many chunks are in each state."""
    return Counter(Chunk.objects.values_list("state", flat=True))


def ended(payloads: Any, **options: Any) -> Batch:
    """A batch after all its work."""
    make_queue(max_attempts=1, chunk_size=4)
    batch = enqueue_batch("tested.do", payloads, **options)
    drain()
    batch.refresh_from_db()
    assert_sound()
    return batch


@pytest.mark.parametrize(
    ("payloads", "state"),
    [
        ([{}] * 9, "completed"),
        ([{}] * 8 + [{"die": 1}], "partial"),
        ([{"die": 1}] * 9, "failed"),
    ],
)
def test_a_batch_ends_as_its_jobs_did(payloads: Any, state: str) -> None:
    batch = ended(payloads)
    dead = sum("die" in p for p in payloads)
    assert (batch.state, batch.succeeded, batch.dead, batch.cancelled) == (state, 9 - dead, dead, 0)
    assert batch.generation == 1
    assert batch.created_at <= batch.started_at <= batch.finished_at


def test_a_batch_with_unfinished_work_does_not_end() -> None:
    make_queue(chunk_size=5)
    batch = enqueue_batch("tested.do", range(10))
    assert drain(runs=1, want=5) == 1
    assert finish.finish(batches=[batch.pk]) == []
    assert finish.sweep() == []
    drain()
    assert finish.finish(batches=[batch.pk]) == []
    batch.refresh_from_db()
    assert (batch.state, batch.generation) == ("completed", 1)


def test_an_end_that_was_missed_is_found_by_the_sweep() -> None:
    make_queue()
    batches = [enqueue_batch("tested.do", range(3)) for _ in range(5)]
    with leased() as execution:
        execution.succeeded += range(15)
    assert set(Batch.objects.values_list("state", flat=True)) == {"running"}
    assert finish.sweep(limit=2) == [batch.pk for batch in batches]


def test_the_callback_runs_once_though_the_batch_ends_twice(declare: Callable[..., Any]) -> None:
    told: list[str] = []
    after = declare()(lambda job: told.append(job.payload["state"]))
    make_queue(chunk_size=4)
    outcomes = iter([Reject("no")])

    @declare()
    def handle(job: Job) -> Any:
        return next(outcomes, None)

    once = enqueue_batch(handle, [1], callback=after)
    drain()
    outcomes = iter([Reject("no")])
    each = enqueue_batch(handle, [1], callback=after, callback_each_end=True)
    drain()
    assert told == ["failed", "failed"]
    for batch in (once, each):
        operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="me", source="api")
        drain()
    assert told == ["failed", "failed", "completed"]
    assert set(Batch.objects.values_list("state", "generation")) == {("completed", 2)}
    assert_sound()


def test_fail_fast_cancels_what_waits_in_the_transaction_of_the_first_death() -> None:
    make_queue(chunk_size=5)
    batch = enqueue_batch("tested.do", range(25), failure_mode="fail_fast")
    other = enqueue_batch("tested.do", range(5))
    with leased(want=10) as execution:
        execution.note(2, Reject("broken"), 0.0)
        execution.succeeded += [0, 1]
        execution._settle(execution._ended(), final=False)
        assert states() == {"cancelled": 3, "leased": 2, "parked": 1, "ready": 1}
        batch.refresh_from_db()
        assert (batch.state, batch.stop_reason) == ("running", "fail_fast")
        assert execution.stopping == {batch.pk}
        assert_sound()
    assert states() == {"cancelled": 5, "parked": 1, "ready": 1}
    assert finish.sweep() == [batch.pk]
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead, batch.cancelled) == ("failed", 2, 1, 22)
    drain()
    other.refresh_from_db()
    assert other.state == "completed"
    assert_sound()


@pytest.mark.parametrize("outcome", [Fail("again"), Snooze(5)])
def test_a_stopping_batch_gets_no_new_ready_chunk(outcome: Exception) -> None:
    make_queue(chunk_size=5, max_attempts=3)
    batch = enqueue_batch("tested.do", range(10), failure_mode="fail_fast")
    with leased(want=5) as other, leased(want=5) as execution:
        execution.note(0, Reject("broken"), 0.0)
        execution.note(1, outcome, 0.0)
        execution.close()
        other.note(0, outcome, 0.0)
        other.succeeded.append(1)
    assert states() == {"cancelled": 2, "parked": 1}
    assert finish.sweep() == [batch.pk]
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead, batch.cancelled) == (1, 1, 8)
    assert not Chunk.objects.filter(is_retry=True).exists()
    assert_sound()


def test_fail_fast_stops_all_parts_of_a_parent(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(chunk_size=5)
    payloads = [{"die": 1} if n == 12 else {} for n in range(40)]
    parent = enqueue_batch("tested.do", payloads, split=True, failure_mode="fail_fast")
    drain(want=5)
    finish.sweep()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded, parent.dead, parent.cancelled) == ("failed", 14, 1, 25)
    assert set(parent.parts.values_list("state", "stop_reason")) == {
        ("completed", ""),
        ("failed", "fail_fast"),
    }
    assert_sound()


def test_parts_that_fail_fast_stops_while_they_are_idle_end_at_once(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(chunk_size=5, max_attempts=1)
    payloads = [{"die": 1} if n == 12 else {} for n in range(40)]
    parent = enqueue_batch("tested.do", payloads, split=True, failure_mode="fail_fast")
    drain(want=5)
    parent.refresh_from_db()
    assert (parent.state, parent.stop_reason, parent.cancelled) == ("failed", "fail_fast", 25)
    assert sorted(parent.parts.values_list("state", flat=True)) == ["completed", "failed", "failed", "failed"]
    assert finish.sweep() == []
    assert_sound()


def test_parts_end_at_once_when_a_lost_suspect_stops_them(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(chunk_size=10, max_attempts=1)
    parent = enqueue_batch("tested.do", range(30), split=True, failure_mode="fail_fast")
    with leased(want=5) as execution:
        execution._closed = execution.lost = True
    first = min(part.first_job_id for part in parent.parts.all())
    Run.objects.update(lease_until="2000-01-01T00:00Z", careful=True, marked_job=first + 2)
    assert reap.reap() == 1
    parent.refresh_from_db()
    assert (parent.state, parent.dead, parent.cancelled) == ("failed", 1, 29)
    assert finish.sweep() == []
    assert_sound()


def test_a_mere_retry_stops_nothing() -> None:
    make_queue(chunk_size=5, max_attempts=2, backoff_base=60)
    batch = enqueue_batch("tested.do", [{"fail": 1}, {}, {}], failure_mode="fail_fast")
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.stop_reason) == ("running", "")
    assert Chunk.objects.get(is_retry=True).state == "ready"


def test_a_job_that_cancels_itself_stops_nothing() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", range(3), failure_mode="fail_fast")
    with leased() as execution:
        execution.note(0, Cancel(), 0.0)
        execution.succeeded += [1, 2]
    finish.sweep()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.cancelled) == ("partial", 2, 1)
    assert_sound()


def test_a_lost_suspect_s_death_stops_its_fail_fast_batch() -> None:
    make_queue(chunk_size=5, max_attempts=1)
    batch = enqueue_batch("tested.do", range(20), failure_mode="fail_fast")
    with leased(want=5) as execution:
        execution.succeeded += [0, 1]
        execution._settle(execution._ended(), final=False)
        execution._closed = execution.lost = True
    Run.objects.update(lease_until="2000-01-01T00:00Z", careful=True, marked_job=batch.first_job_id + 2)
    assert reap.reap() == 1
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead, batch.cancelled) == ("failed", 2, 1, 17)
    assert DeadLetter.objects.get().reason == "worker lost"
    assert_sound()


def test_a_suspect_that_had_ended_before_its_process_died_is_not_blamed() -> None:
    make_queue(chunk_size=5, max_attempts=1)
    batch = enqueue_batch("tested.do", range(20), failure_mode="fail_fast")
    with leased(want=5) as execution:
        execution.succeeded += [0, 1]
        execution._settle(execution._ended(), final=False)
        execution._closed = execution.lost = True
    Run.objects.update(lease_until="2000-01-01T00:00Z", careful=True, marked_job=batch.first_job_id + 1)
    assert reap.reap() == 1
    batch.refresh_from_db()
    assert (batch.state, batch.stop_reason) == ("running", "")
    assert not Attempt.objects.exists()
    assert states() == {"ready": 4}
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 20)
    assert_sound()


def test_a_cancelled_batch_ends_with_what_was_done() -> None:
    make_queue(chunk_size=5)
    batch = enqueue_batch("tested.do", range(20), key=str)
    drain(runs=1, want=5)
    with leased(want=5) as execution:
        execution.succeeded += [0, 1]
        assert cancel_batch(batch_id=batch.pk, actor="me", source="api", reason="wrong list") == 10
        batch.refresh_from_db()
        assert (batch.state, batch.stop_reason) == ("running", "cancelled")
        assert_sound()
        execution._renewed = 0.0
        execution.tick()
        assert execution.stopping == {batch.pk} and execution.skips(2)
        execution.note(2, Fail("too late to be tried again"), 0.0)
    finish.sweep()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead, batch.cancelled) == ("cancelled", 7, 0, 13)
    assert states() == {"done": 1, "cancelled": 3}
    assert not JobKey.objects.exists()
    assert JobRow.objects.get(own_state="cancelled").failures == 1
    entry = AuditEntry.deeds().get()
    assert (entry.actor, entry.target, entry.reason, entry.outcome) == (
        "me",
        f"batch {batch.pk}",
        "wrong list",
        {"jobs": 10},
    )
    assert_sound()


def test_cancelling_a_parent_cancels_its_parts(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue(chunk_size=5)
    parent = enqueue_batch("tested.do", range(25), split=True)
    drain(runs=2, want=5)
    assert cancel_batch(batch_id=parent.pk, actor="me", source="api") == 15
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded, parent.cancelled) == ("cancelled", 10, 15)
    assert sorted(parent.parts.values_list("state", flat=True)) == ["cancelled", "cancelled", "completed"]
    assert_sound()


def test_an_open_batch_that_is_cancelled_ends_and_takes_no_more() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", range(5), open=True)
    assert cancel_batch(batch_id=batch.pk, actor="me", source="api") == 5
    batch.refresh_from_db()
    assert (batch.state, batch.cancelled) == ("cancelled", 5)
    with pytest.raises(ValueError, match="not open"):
        add_jobs(batch, [1])
    assert_sound()


def test_a_cancel_is_refused_where_there_is_nothing_to_cancel() -> None:
    batch = ended([{}])
    with pytest.raises(CancelRefused, match="completed"):
        cancel_batch(batch_id=batch.pk, actor="me", source="api")
    with pytest.raises(CancelRefused, match="unknown"):
        cancel_batch(batch_id=2**40, actor="me", source="api")
    assert not AuditEntry.deeds().exists()


def test_a_cancelled_retry_chunk_frees_its_keys() -> None:
    make_queue(backoff_base=60)
    batch = enqueue_batch("tested.do", [{"fail": 1}, {}], key=repr)
    drain()
    assert JobKey.objects.count() == 1
    cancel_batch(batch_id=batch.pk, actor="me", source="api")
    assert not JobKey.objects.exists()
    assert_sound()


def test_a_retried_dead_job_reopens_its_batch_and_parent(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 4
    make_queue(max_attempts=1)
    parent = enqueue_batch("tested.do", [{"die": 1} if n == 5 else {} for n in range(10)], split=True)
    drain()
    parent.refresh_from_db()
    part = parent.parts.get(part=2)
    assert (parent.state, part.state) == ("partial", "partial")
    operation = operate.start(
        action="retry_dead", selection={"batch": parent.pk}, actor="me", source="api", reason="repaired"
    )
    assert (operation.total, operation.changed, operation.skipped, operation.state) == (1, 1, 0, "done")
    for batch in (parent, part):
        batch.refresh_from_db()
        assert (batch.state, batch.finished_at, batch.dead, batch.succeeded) == ("running", None, None, None)
    job = JobRow.objects.get(pk=part.first_job_id + 1)
    assert (job.failures, job.chunk.state, job.chunk.is_retry) == (0, "ready", True)
    assert not DeadLetter.objects.exists()
    assert_sound()
    JobRow.objects.filter(pk=job.pk).update(payload="{}")
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded, parent.generation) == ("completed", 10, 2)
    assert_sound()


def test_a_retried_job_that_dies_again_is_a_dead_letter_again() -> None:
    batch = ended([{"die": 1}, {}])
    job = DeadLetter.objects.get().job_id
    for times in (2, 3):
        operate.start(action="retry_dead", selection={"job_ids": [job]}, actor="me", source="api")
        drain()
        assert DeadLetter.objects.get().attempts == times
        assert_sound()
    batch.refresh_from_db()
    assert (batch.state, batch.generation) == ("partial", 3)
    assert list(Attempt.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


def test_a_deleted_dead_letter_is_kept_in_the_trash_and_its_key_is_free() -> None:
    make_queue()
    job = enqueue("tested.do", {"die": 1}, key="k")
    drain()
    operate.start(action="delete_dead", selection={"job_ids": [job]}, actor="me", source="api")
    assert not DeadLetter.objects.exists() and not JobKey.objects.exists()
    assert Chunk.objects.filter(state="parked").values_list("held_why", "size").get() == ("trashed", 1)
    assert enqueue("tested.do", {}, key="k") is not None
    assert_sound()


@pytest.mark.parametrize("action", ["retry_dead", "delete_dead"])
def test_an_operation_covers_what_matched_when_it_began(action: str) -> None:
    make_queue(max_attempts=1, chunk_size=500)
    batch = enqueue_batch("tested.do", [{"die": n} for n in range(1_234)])
    enqueue_batch("tested.do", [{"die": n} for n in range(10)])
    drain()
    operation = operate.start(action=action, selection={"batch": batch.pk}, actor="me", source="api")
    assert (operation.state, operation.total, operation.changed) == ("running", 1_234, 0)
    assert_sound()
    assert operate.advance_all() >= 3
    operation.refresh_from_db()
    assert (operation.state, operation.changed, operation.skipped) == ("done", 1_234, 0)
    assert DeadLetter.objects.count() == 10
    assert_sound()


def test_an_operation_skips_what_somebody_else_has_done_meanwhile() -> None:
    make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"die": n} for n in range(1_500)])
    drain()
    first = operate.start(action="retry_dead", selection={"queue": "tested"}, actor="me", source="api")
    second = operate.start(action="delete_dead", selection={"queue": "tested"}, actor="you", source="api")
    operate.advance_all()
    for operation in (first, second):
        operation.refresh_from_db()
    assert (first.changed, first.skipped) == (1_500, 0)
    assert (second.changed, second.skipped) == (0, 1_500)
    assert_sound()


@pytest.mark.parametrize(
    "selection",
    [{}, {"job_ids": [1], "batch": 2}, {"everything": 1}, {"job_ids": ["x"]}, {"batch": None}, {"queue": "none"}],
)
def test_an_unusable_selection_is_refused(selection: dict[str, Any]) -> None:
    make_queue()
    with pytest.raises(operate.OperationRefused):
        operate.start(action="retry_dead", selection=selection, actor="me", source="api")
    with pytest.raises(operate.OperationRefused, match="unknown action"):
        operate.start(action="explode", selection={"queue": "tested"}, actor="me", source="api")
