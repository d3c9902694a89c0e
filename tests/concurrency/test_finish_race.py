"""Two last chunks of a batch settled at the same moment: the batch ends once."""

import uuid
from collections import Counter

import pytest

from queues.domain.outcomes import Reject
from queues.execution import Execution
from queues.models import Batch, Chunk, Job, Run
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 1_000


class Pair:
    """Two runs, one for each chunk of a batch, that are about to end."""

    def __init__(self, queue_id: int) -> None:
        self.policy = claim_service.policy(queue_id=queue_id)
        self.runs: list[Execution] = []
        self.batch: Batch | None = None

    def prepare(self, turn: int) -> None:
        """A new batch of two jobs in two chunks, both leased."""
        self.batch = enqueue_batch("traced.quick", [1, 2], chunk_size=1, callback="traced.quick", queue="traced")
        self.runs = []
        for _ in range(2):
            claim = claim_service.claim(policy=self.policy, worker_id=uuid.uuid4(), want=1, lease=30)
            claim_service.load(claim=claim)
            self.runs.append(Execution(claim, 30))
        Chunk.objects.filter(batch=None).delete()  # callbacks of the last round
        self.fails = turn % 3 == 0

    def end(self, which: int) -> list[int]:
        """One of the two ends, and whoever sees the batch finished ends it."""
        run = self.runs[which]
        if which and self.fails:
            run.note(0, Reject("no"), 0.0)
        else:
            run.succeeded.append(0)
        run.close()
        return finish.finish(batches=run.claim.batch_ids)


def test_a_batch_ends_once_whoever_settles_last() -> None:
    queue = traced_queue(chunk_size=1, run_size=1)
    pair = Pair(queue.pk)
    answers = Team([lambda: pair.end(0), lambda: pair.end(1)]).rounds(ROUNDS, pair.prepare)
    assert {len(first) + len(second) for first, second in answers} == {1}
    assert Counter(Batch.objects.values_list("state", "generation")) == {
        ("completed", 1): ROUNDS - (ROUNDS + 2) // 3,
        ("partial", 1): (ROUNDS + 2) // 3,
    }
    assert Job.objects.filter(batch=None).count() == ROUNDS  # one callback each
    assert set(Run.objects.values_list("state", flat=True)) == {"done"}
    Job.objects.filter(batch=None).delete()
    Chunk.objects.filter(batch=None).delete()
    assert_sound()
