"""Commits of a run: between jobs, once each, also when the answer to one is lost."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from queues import execution as execution_module
from queues.domain.outcomes import Fail, Reject, Snooze
from queues.execution import Execution
from queues.models import Attempt, Chunk, DeadLetter, Job, Run
from queues.serve import Server
from queues.services import settle as settle_service
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue
from tests.waiting import wait_for


class Unheard:
    """Lets a commit of a run arrive, and then loses the connection before its answer is heard."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, which: str, times: int = 1) -> None:
        self.left, self.calls = times, 0
        self.real: Callable[..., Any] = getattr(settle_service, which)
        monkeypatch.setattr(execution_module.settle_service, which, self)

    def __call__(self, **values: Any) -> Any:
        self.calls += 1
        answer = self.real(**values)
        if self.left:
            self.left -= 1
            raise psycopg.OperationalError("the connection was lost")
        return answer


def checkpoint(execution: Execution) -> None:
    """The keeper's turn, when a checkpoint is due."""
    execution._renewed = 0.0
    execution.tick()


def checkpoint_unheard(execution: Execution) -> None:
    """The same, with its answer lost."""
    with pytest.raises(psycopg.OperationalError):
        checkpoint(execution)


@pytest.mark.django_db
def test_a_checkpoint_records_successes_as_bits_and_failures_as_rows() -> None:
    make_queue(chunk_size=10, backoff_base=60, jitter=0)
    batch = enqueue_batch("tested.do", range(10))
    with leased() as execution:
        execution.succeeded += [0, 3]
        execution.note(5, Fail("not now"), 0.0)
        execution.note(6, Reject("never"), 0.0)
        checkpoint(execution)
        chunk = Chunk.objects.get(state="leased")
        assert bytes(chunk.ended or b"") == bytes([0b1001, 0])
        assert (chunk.size, chunk.succeeded) == (8, 2)
        run = Run.objects.get()
        assert (run.step, run.state, run.succeeded, run.failed, run.retried, run.dead) == (1, "running", 2, 2, 1, 1)
        assert DeadLetter.objects.get().job_id == batch.first_job_id + 6
        assert_sound()
        execution.succeeded += [1, 2, 4, 7, 8, 9]
    chunk.refresh_from_db()
    assert (chunk.state, chunk.size, chunk.succeeded, chunk.ended) == ("done", 8, 8, None)
    run.refresh_from_db()
    assert (run.step, run.state, run.succeeded) == (2, "done", 8)
    assert_sound()


@pytest.mark.django_db
def test_what_a_checkpoint_has_recorded_does_not_run_again_after_a_loss() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", range(10))
    with leased() as execution:
        execution.succeeded += [0, 1, 2]
        checkpoint(execution)
        execution.succeeded += [3]
        execution._closed = execution.lost = True  # the process dies here
    Run.objects.update(lease_until="2000-01-01T00:00Z")
    from queues.services import reap

    assert reap.reap() == 1
    with leased() as again:
        assert again.claim.ids == [batch.first_job_id + n for n in range(3, 10)]
    assert_sound()


@pytest.mark.django_db
def test_a_checkpoint_whose_answer_was_lost_writes_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(10))
    with leased() as execution:
        unheard = Unheard(monkeypatch, "settle")
        execution.succeeded += [0, 1]
        execution.note(2, Fail("no"), 0.0)
        checkpoint_unheard(execution)
        checkpoint(execution)
        assert unheard.calls == 2
        assert (execution.step, execution.lost) == (1, False)
        assert Attempt.objects.count() == 1
        assert Chunk.objects.filter(is_retry=True).count() == 1
        execution.succeeded += [3, 4, 5, 6, 7, 8, 9]
    assert (Run.objects.get().state, Run.objects.get().succeeded) == ("done", 9)
    assert_sound()


@pytest.mark.django_db
def test_what_ended_after_a_checkpoint_whose_answer_was_lost_is_recorded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_queue(chunk_size=10, backoff_base=0, jitter=0)
    enqueue_batch("tested.do", range(10))
    with leased() as execution:
        Unheard(monkeypatch, "settle")
        execution.succeeded += [0, 1]
        checkpoint_unheard(execution)
        execution.succeeded += [2, 3]
        execution.note(4, Fail("no"), 0.0)
        checkpoint(execution)
        checkpoint(execution)
        assert Chunk.objects.get(state="leased").succeeded == 4
        assert Attempt.objects.count() == 1
        execution.succeeded += [5, 6, 7, 8, 9]
    assert list(Chunk.objects.order_by("pk").values_list("state", "size", "succeeded")) == [
        ("done", 9, 9),
        ("ready", 1, 0),
    ]
    assert_sound()


@pytest.mark.django_db
@pytest.mark.parametrize("last", ["settle_whole", "settle"])
def test_a_run_ends_whose_last_checkpoint_was_not_answered(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(10))
    with leased() as execution:
        Unheard(monkeypatch, "settle")
        execution.succeeded += range(5)
        checkpoint_unheard(execution)
        execution.succeeded += range(5, 10)
        if last == "settle":
            execution.succeeded.pop()
            execution.note(9, Fail("no"), 0.0)
    assert (execution.lost, execution.late) == (False, 0)
    run = Run.objects.get()
    assert (run.state, run.succeeded + run.failed, run.late) == ("done", 10, 0)
    assert_sound()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("which", ["settle_whole", "settle"])
def test_the_end_of_a_run_whose_answer_was_lost_is_not_repeated(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", range(10) if which == "settle_whole" else [{"die": 1}, *range(9)])
    unheard = Unheard(monkeypatch, which, times=2)
    drain()
    assert unheard.calls == 3
    assert Run.objects.get().state == "done"
    batch.refresh_from_db()
    assert batch.state == ("completed" if which == "settle_whole" else "partial")
    assert Attempt.objects.count() == DeadLetter.objects.count() == batch.dead
    assert_sound()


@pytest.mark.django_db
def test_a_result_after_the_lease_was_lost_is_dropped_and_counted() -> None:
    make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(10))
    with leased() as execution:
        execution.succeeded += [0, 1]
        checkpoint(execution)
        Run.objects.update(state="lost", finished_at="2000-01-01T00:00Z")
        Chunk.objects.update(state="ready")
        before = list(Chunk.objects.values()), list(Job.objects.values("id", "chunk_id", "failures", "own_state"))
        execution.succeeded += [2, 3, 4]
        execution.note(5, Reject("never"), 0.0)
    assert (execution.lost, execution.late) == (True, 4)
    assert (Run.objects.get().state, Run.objects.get().late) == ("lost", 4)
    after = list(Chunk.objects.values()), list(Job.objects.values("id", "chunk_id", "failures", "own_state"))
    assert after == before
    assert not DeadLetter.objects.exists()


@pytest.mark.django_db
def test_a_late_renewal_is_accepted_while_nobody_has_taken_the_run() -> None:
    make_queue()
    enqueue_batch("tested.do", range(3))
    with leased() as execution:
        Run.objects.update(lease_until="2000-01-01T00:00Z")
        checkpoint(execution)
        assert not execution.lost
        assert Run.objects.get().lease_until.year > 2000
        execution.succeeded += range(3)
    assert Run.objects.get().state == "done"


def test_the_keeper_commits_while_a_job_runs(server: Server, declare: Callable[..., Any]) -> None:
    seen: list[tuple[int, int]] = []
    queue = make_queue(chunk_size=10)

    @declare()
    def handle(job: Any) -> None:
        if job.payload == 3:
            wait_for(lambda: Chunk.objects.filter(succeeded=3), 5, "the checkpoint")
            seen.append(Chunk.objects.values_list("succeeded", "size").get())

    batch = enqueue_batch(handle, range(10))
    server.serve(queue.pk)
    batch.refresh_from_db()
    assert (seen, batch.state) == ([(3, 10)], "completed")
    assert Run.objects.get().step == 2
    assert_sound()


@pytest.mark.django_db
def test_two_runs_of_a_job_have_an_attempt_each() -> None:
    make_queue(backoff_base=0, jitter=0, max_attempts=3)
    batch = enqueue_batch("tested.do", [{"fail": 1}])
    assert drain() == 3
    attempts = Attempt.objects.filter(job_id=batch.first_job_id).order_by("number")
    assert list(attempts.values_list("number", "run_id")) == list(
        enumerate(Run.objects.order_by("pk").values_list("pk", flat=True), 1)
    )


@pytest.mark.django_db
def test_a_snoozed_job_comes_back_in_the_same_run_s_checkpoint() -> None:
    make_queue(chunk_size=2)
    enqueue_batch("tested.do", range(2))
    with leased() as execution:
        execution.note(0, Snooze(60), 0.0)
        checkpoint(execution)
        assert list(Chunk.objects.filter(state="ready").values_list("size", "job_ids")) == [
            (1, [execution.claim.ids[0]])
        ]
        execution.succeeded.append(1)
    assert Run.objects.get().returned == 1
    assert uuid.UUID(str(Run.objects.get().worker_id))
    assert_sound()
