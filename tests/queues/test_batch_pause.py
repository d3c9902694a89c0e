"""A paused batch: what runs is finished, nothing more starts, and nothing slips through before it is resumed."""

from collections import Counter

import pytest

from queues.domain.outcomes import Fail, Snooze
from queues.models import AuditEntry, Batch, Chunk, DeadLetter, Run
from queues.services import finish, operate, reap
from queues.services.batch_pause import BatchPauseRefused, pause_batch, resume_batch
from queues.services.cancel import cancel_batch
from queues.services.enqueue import add_jobs, enqueue_batch, seal
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db
WHO = {"actor": "ann", "source": "test"}


def stand(batch: Batch) -> Counter[tuple[str, str]]:
    """How the chunks of a batch and its parts stand."""
    batches = [batch.pk, *batch.parts.values_list("pk", flat=True)]
    return Counter(Chunk.objects.filter(batch__in=batches).values_list("state", "held_why"))


def state(batch: Batch) -> str:
    return Batch.objects.get(pk=batch.pk).state


def test_nothing_of_a_paused_batch_starts_until_it_is_resumed() -> None:
    make_queue(chunk_size=2)
    batch = enqueue_batch("tested.do", range(6))
    other = enqueue_batch("tested.do", range(2))
    assert pause_batch(batch_id=batch.pk, reason="wrong prices", **WHO) == 6
    drain()
    assert stand(batch) == {("held", "paused"): 3}
    assert state(other) == "completed"
    found = Batch.objects.get(pk=batch.pk)
    assert (found.paused_by, found.pause_reason, found.state) == ("ann", "wrong prices", "running")
    assert found.paused_at is not None
    assert resume_batch(batch_id=batch.pk, **WHO) == 6
    drain()
    assert state(batch) == "completed"
    assert Batch.objects.get(pk=batch.pk).paused_at is None
    entries = AuditEntry.deeds().order_by("pk").values_list("action", "target", "reason", "outcome")
    assert list(entries) == [
        ("pause batch", f"batch {batch.pk}", "wrong prices", {"jobs": 6}),
        ("resume batch", f"batch {batch.pk}", "", {"jobs": 6}),
    ]
    assert_sound()


def test_what_runs_is_finished_and_its_retries_are_held() -> None:
    make_queue(chunk_size=4, max_attempts=3)
    batch = enqueue_batch("tested.do", range(8))
    with leased(want=4) as run:
        pause_batch(batch_id=batch.pk, **WHO)
        run.succeeded += [0, 1]
        run.note(2, Fail("again"), 0.0)
        run.note(3, Snooze(0), 0.0)
    assert stand(batch) == {("held", "paused"): 3, ("done", ""): 1}
    assert Chunk.objects.filter(batch=batch, is_retry=True).count() == 1
    assert drain() == 0
    assert_sound()
    resume_batch(batch_id=batch.pk, **WHO)
    assert set(stand(batch)) == {("ready", ""), ("done", "")}


def test_what_a_stopped_worker_gives_back_is_held() -> None:
    make_queue(chunk_size=4)
    batch = enqueue_batch("tested.do", range(4))
    with leased(want=4) as run:
        pause_batch(batch_id=batch.pk, **WHO)
        run.succeeded.append(0)
    assert stand(batch) == {("held", "paused"): 1}
    assert Chunk.objects.get().succeeded == 1
    assert_sound()
    resume_batch(batch_id=batch.pk, **WHO)
    drain()
    assert state(batch) == "completed"


@pytest.mark.django_db(transaction=True)
def test_what_a_lost_worker_held_is_held() -> None:
    make_queue(chunk_size=4)
    batch = enqueue_batch("tested.do", range(4))
    with leased(want=4) as run:
        pause_batch(batch_id=batch.pk, **WHO)
        assert reap.reap_run(run_id=run.claim.run_id, expire=True)
        assert stand(batch) == {("held", "paused"): 1}
        assert Run.objects.get().state == "lost"
    assert_sound()
    assert resume_batch(batch_id=batch.pk, **WHO) == 4
    drain()
    assert state(batch) == "completed"


def test_a_batch_whose_last_run_ends_ends_although_it_is_paused() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", range(2))
    with leased() as run:
        assert pause_batch(batch_id=batch.pk, **WHO) == 0
        run.succeeded += [0, 1]
    finish.finish(batches=[batch.pk])
    assert state(batch) == "completed"
    assert Batch.objects.get(pk=batch.pk).paused_at is None


def test_jobs_that_a_person_retries_wait_for_the_resumption() -> None:
    make_queue(chunk_size=1, max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {"n": 2}])
    drain(runs=1, want=1)
    pause_batch(batch_id=batch.pk, **WHO)
    operate.start(action="retry_dead", selection={"batch": batch.pk}, **WHO)
    assert not DeadLetter.objects.exists()
    assert stand(batch)[("held", "paused")] == 2
    assert drain() == 0


def test_an_open_batch_that_is_sealed_while_it_is_paused_stays_held() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1], open=True)
    pause_batch(batch_id=batch.pk, **WHO)
    add_jobs(batch, [2])
    assert set(stand(batch)) == {("held", "open")}
    seal(batch)
    assert set(stand(batch)) == {("held", "paused")}
    resume_batch(batch_id=batch.pk, **WHO)
    drain()
    assert state(batch) == "completed"


def test_a_stage_whose_turn_comes_while_it_is_paused_stays_held() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [2], after=[first])
    pause_batch(batch_id=second.pk, **WHO)
    assert stand(second) == {("held", "stage"): 1}
    drain()
    assert stand(second) == {("held", "paused"): 1}
    resume_batch(batch_id=second.pk, **WHO)
    drain()
    assert state(second) == "completed"


def test_a_parent_is_paused_with_all_its_parts_and_a_part_not_alone() -> None:
    make_queue(chunk_size=10_000, max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, *({} for _ in range(10_000))], split=True)
    parts = list(batch.parts.order_by("part"))
    with pytest.raises(BatchPauseRefused, match=f"is a part: pause or resume its parent {batch.pk}"):
        pause_batch(batch_id=parts[1].pk, **WHO)
    drain(runs=1, want=10_000)
    assert state(parts[0]) == "partial"
    pause_batch(batch_id=batch.pk, **WHO)
    operate.start(action="retry_dead", selection={"batch": batch.pk}, **WHO)
    assert drain() == 0
    assert set(stand(batch)) == {("done", ""), ("held", "paused")}
    resume_batch(batch_id=batch.pk, **WHO)
    drain(want=10_000)
    assert state(batch) == "partial"
    assert not Batch.objects.filter(paused_at__isnull=False).exists()
    assert_sound()


def test_a_paused_batch_can_be_cancelled() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", range(3))
    pause_batch(batch_id=batch.pk, **WHO)
    assert cancel_batch(batch_id=batch.pk, **WHO) == 3
    assert state(batch) == "cancelled"
    assert Batch.objects.get(pk=batch.pk).paused_at is None
    assert_sound()


def test_refusals_say_why() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", range(3))
    with pytest.raises(BatchPauseRefused, match="is not paused"):
        resume_batch(batch_id=batch.pk, **WHO)
    drain()
    for deed in (pause_batch, resume_batch):
        with pytest.raises(BatchPauseRefused, match="is completed"):
            deed(batch_id=batch.pk, **WHO)
        with pytest.raises(BatchPauseRefused, match="unknown batch 77"):
            deed(batch_id=77, **WHO)
    assert not AuditEntry.deeds().exists()
