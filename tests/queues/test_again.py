"""A whole batch once more: what died goes back, or all of it becomes a new batch."""

import json
from typing import Any

import pytest

from queues import collect_results, retry_batch
from queues.models import ArchivedJob, AuditEntry, Batch, DeadLetter, Job, Operation
from queues.services import operate
from queues.services.again import RetryRefused
from queues.services.archive import archive
from queues.services.enqueue import JobSpec, enqueue_batch
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


def payloads(batch: Batch) -> list[Any]:
    """Its jobs' payloads, in their order."""
    jobs = Job.objects.filter(batch__in=[batch, *batch.parts.all()]).order_by("pk")
    return [json.loads(text) for text in jobs.values_list("payload", flat=True)]


def test_the_dead_go_back_into_their_batch() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}, {"fail": 1}])
    drain()
    operation = retry_batch(batch, actor="ann")
    assert isinstance(operation, Operation)
    assert (operation.changed, operation.actor) == (2, "ann")
    batch.refresh_from_db()
    assert (batch.state, DeadLetter.objects.count()) == ("running", 0)
    assert_sound()


@pytest.mark.parametrize("archived", [False, True])
def test_all_becomes_a_new_batch_with_the_same_jobs_and_policy(archived: bool) -> None:
    make_queue(max_attempts=1, keep_results=60)
    jobs: list[Any] = [{"n": 2**70}, JobSpec({"die": 1}, priority="high"), {"value": "ü"}, JobSpec([4], priority="low")]
    first = enqueue_batch(
        "tested.do",
        jobs,
        name="N",
        metadata={"a": 1},
        failure_mode="collect_errors",
        chunk_size=2,
        callback="tested.do",
        callback_each_end=True,
        then="tested.do",
        after_policy="ended",
    )
    drain()
    if archived:
        archive(seconds=None)
        assert ArchivedJob.objects.filter(batch_id=first.pk).count() == 3
    second = retry_batch(first.pk, "all", actor="ann", reason="again")
    assert isinstance(second, Batch)
    assert sorted(map(str, payloads(second))) == sorted(map(str, [{"n": 2**70}, {"die": 1}, {"value": "ü"}, [4]]))
    assert second.metadata == {"a": 1, "retry_of": first.pk}
    same = ("name", "handler", "queue_id", "failure_mode", "chunk_size", "callback_handler", "callback_each_end")
    for name in (*same, "then_handler", "then_queue_id", "after_policy", "total"):
        assert getattr(second, name) == getattr(first, name), name
    levels = dict(Job.objects.filter(batch=second).values_list("payload", "chunk__priority"))
    assert (levels['{"die":1}'], levels["[4]"], levels['{"value":"ü"}']) == (1, 3, 2)
    entry = AuditEntry.objects.get(action="retry whole batch")
    assert (entry.actor, entry.outcome) == ("ann", {"batch": second.pk, "jobs": 4})
    first.refresh_from_db()
    assert first.state == "partial"
    drain()
    second.refresh_from_db()
    assert second.state == "partial"
    assert_sound()


def test_a_batch_of_many_parts_and_one_that_was_stopped(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 3
    make_queue(max_attempts=1)
    before = enqueue_batch("tested.do", [{"die": 1}])
    first = enqueue_batch("tested.do", range(8), split=True, after=[before])
    drain()
    first.refresh_from_db()
    assert (first.state, first.stop_reason) == ("cancelled", "upstream")
    second = retry_batch(first, "all")
    assert isinstance(second, Batch)
    assert (second.is_parent, second.total, second.parts.count(), second.stage) == (True, 8, 3, 1)
    assert payloads(second) == list(range(8))
    drain()
    second.refresh_from_db()
    assert second.state == "completed"
    assert_sound()


@pytest.mark.parametrize("emptied", [False, True])
def test_what_a_person_has_deleted_stays_deleted(emptied: bool, settings: Any) -> None:
    settings.TRASH_AFTER = 0
    make_queue(max_attempts=1)
    first = enqueue_batch("tested.do", [1, {"die": 1}, 3])
    drain()
    operate.start(action="delete_dead", selection={"batch": first.pk}, actor="me", source="api")
    if emptied:
        archive(seconds=None)
    gone = collect_results(first, timeout=0).errors[first.last_job_id - 1 if first.last_job_id else 0]
    assert gone.kind == "deleted"
    second = retry_batch(first, "all")
    assert isinstance(second, Batch)
    assert payloads(second) == [1, 3]


def test_what_cannot_be_retried_is_refused_with_nothing_written() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1, 2])
    opened = enqueue_batch("tested.do", [1], open=True)
    with pytest.raises(RetryRefused, match="which: 'some' is not one of dead, all"):
        retry_batch(batch, "some")
    with pytest.raises(RetryRefused, match="unknown batch 999999999"):
        retry_batch(999999999)
    with pytest.raises(RetryRefused, match="is still open"):
        retry_batch(opened, "all")
    with pytest.raises(operate.OperationRefused, match="no dead letter matches"):
        retry_batch(batch)
    drain()
    archive(seconds=None)
    ArchivedJob.objects.filter(batch_id=batch.pk).order_by("pk").first().delete()  # type: ignore[union-attr]
    with pytest.raises(RetryRefused, match=f"1 of 2 jobs of batch {batch.pk} are kept no longer"):
        retry_batch(batch, "all")
    ArchivedJob.objects.all().delete()
    with pytest.raises(RetryRefused, match=f"no job of batch {batch.pk} is kept any more"):
        retry_batch(batch, "all")
    assert Batch.objects.count() == 2
    assert not AuditEntry.objects.filter(action="retry whole batch").exists()


def test_the_commands() -> None:
    make_queue(max_attempts=1, keep_results=60)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}])
    drain()
    answer = command("batches", "retry", batch.pk, "--yes")
    assert (answer.code, answer.out) == (0, f"batch {batch.pk}: 1 of 1 dead letters go back\n")
    drain()
    assert "--yes" in command("batches", "retry", batch.pk, "--all").err
    made = command("batches", "retry", batch.pk, "--all", "--yes", "--json").document
    assert made == {"batch": batch.pk, "retried_as": made["retried_as"], "jobs": 2}
    other = enqueue_batch("tested.do", [1])
    linked = command("batches", "link", made["retried_as"], other.pk)
    assert (linked.code, linked.out) == (0, f"batch {other.pk} waits for batch {made['retried_as']}\n")
    assert command("batches", "link", other.pk, made["retried_as"]).err.startswith("that would be a circle: ")
    shown = command("batches", "show", other.pk, "--json").document
    assert (shown["stage"], shown["waits_for"], shown["followed_by"]) == (2, [made["retried_as"]], [])
    lines = [line.split() for line in command("batches", "show", other.pk).out.splitlines()]
    assert ["stage", "2"] in lines
    assert ["waits_for", str(made["retried_as"])] in lines
