"""Stopping a batch while its runs settle: nobody waits for ever, and nothing leaks."""

import contextlib
import uuid
from collections import Counter

import pytest
from psycopg import errors

from queues import store
from queues.domain.outcomes import Fail, Reject, Snooze
from queues.execution import Execution
from queues.models import Batch, Chunk, Queue
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.cancel import CancelRefused, cancel_batch
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Deadlocks that PostgreSQL has found; the engine would repeat the transaction and hide them."""
    found: list[str] = []
    real = store.repeated

    def counted(work):
        def watched():
            try:
                return work()
            except errors.DeadlockDetected as error:
                found.append(str(error))
                raise

        return real(watched)

    monkeypatch.setattr(store, "repeated", counted)
    return found


class Rounds:
    """A batch with two runs underway and chunks that wait; each round stops it in some way."""

    def __init__(self, queue: Queue, **options: object) -> None:
        self.policy = claim_service.policy(queue_id=queue.pk)
        self.options = options
        self.batch = Batch()
        self.runs: list[Execution] = []
        self.turn = 0

    def prepare(self, turn: int) -> None:
        """A new batch: five chunks, two of them leased by two runs each holding its own."""
        self.turn = turn
        self.batch = enqueue_batch("traced.quick", range(10), chunk_size=2, queue="traced", **self.options)
        self.runs = []
        for _ in range(2):
            claim = claim_service.claim(policy=self.policy, worker_id=uuid.uuid4(), want=2, lease=30)
            claim_service.load(claim=claim)
            assert claim.batch_ids == [self.batch.pk]
            self.runs.append(Execution(claim, 30))

    def settle(self, which: int) -> None:
        """A run ends with something that would make a retry chunk."""
        run = self.runs[which]
        run.note(0, Fail("again") if self.turn % 2 else Snooze(0), 0.0)
        if self.turn % 3:
            run.succeeded.append(1)
        run.close()
        finish.finish(batches=run.claim.batch_ids)

    def die(self, which: int) -> None:
        """A run ends with a dead job."""
        self.runs[which].note(0, Reject("no"), 0.0)
        self.runs[which].succeeded.append(1)
        self.runs[which].close()
        finish.finish(batches=[self.batch.pk])

    def cancel(self) -> None:
        """A person cancels the batch."""
        cancel_batch(batch_id=self.batch.pk, actor="me", source="api")


def test_cancelling_against_settles_never_deadlocks_nor_leaks_a_retry(deadlocks: list[str]) -> None:
    rounds = Rounds(traced_queue(run_size=2))
    Team([lambda: rounds.settle(0), lambda: rounds.settle(1), rounds.cancel]).rounds(200, rounds.prepare)
    finish.sweep()
    assert deadlocks == []
    assert Counter(Batch.objects.values_list("state", flat=True)) == {"cancelled": 200}
    assert not Chunk.objects.filter(state__in=["ready", "held", "leased"]).exists()
    assert_sound()


def test_failing_fast_against_settles_never_deadlocks_nor_leaks_a_retry(deadlocks: list[str]) -> None:
    rounds = Rounds(traced_queue(run_size=2), failure_mode="fail_fast")
    Team([lambda: rounds.settle(0), lambda: rounds.die(1)]).rounds(200, rounds.prepare)
    finish.sweep()
    assert deadlocks == []
    assert Counter(Batch.objects.values_list("state", "dead")) == {("failed", 1): 200}
    assert not Chunk.objects.filter(state__in=["ready", "held", "leased"]).exists()
    assert_sound()


def test_two_first_deaths_and_a_cancel_stop_a_batch_once(deadlocks: list[str]) -> None:
    rounds = Rounds(traced_queue(run_size=2), failure_mode="fail_fast")

    def cancel() -> None:
        with contextlib.suppress(CancelRefused):
            rounds.cancel()

    Team([lambda: rounds.die(0), lambda: rounds.die(1), cancel]).rounds(100, rounds.prepare)
    finish.sweep()
    assert deadlocks == []
    assert set(Batch.objects.values_list("state", "generation")) <= {("failed", 1), ("cancelled", 1)}
    assert set(Batch.objects.values_list("succeeded", "dead", "cancelled")) == {(2, 2, 6)}
    assert_sound()
