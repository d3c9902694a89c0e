"""A batch is paused and resumed while its runs settle and others claim: nothing of a paused batch is left ready."""

import uuid

import pytest
from django.db.models import Sum

from queues.domain.outcomes import Fail
from queues.execution import Execution
from queues.models import Batch, Chunk
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.batch_pause import pause_batch, resume_batch
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team

pytestmark = pytest.mark.django_db(transaction=True)
WHO = {"actor": "test", "source": "test"}
ROUNDS = 60


def test_no_chunk_of_a_paused_batch_stays_ready_whoever_settles_meanwhile() -> None:
    queue = traced_queue(max_attempts=5)
    policy = claim_service.policy(queue_id=queue.pk)
    assert policy is not None
    now: dict[str, object] = {}
    lost: list[object] = []

    def prepare(turn: int) -> None:
        if turn:
            lost.append(judged(now["batch"]))
        now["batch"] = enqueue_batch("traced.quick", range(8), chunk_size=2, queue="traced")
        now["run"] = leased()

    def leased() -> Execution | None:
        claim = claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=2, lease=30)
        if claim is None:
            return None
        claim_service.load(claim=claim)
        return Execution(claim, 30)

    def judged(batch: Batch) -> list[str]:
        """Chunks of the paused batch that anybody could claim; then the rest of the round is worked off."""
        ready = [str(chunk) for chunk in Chunk.objects.filter(batch=batch, state="ready")]
        jobs = Chunk.objects.filter(batch=batch).aggregate(size=Sum("size"))["size"]
        resume_batch(batch_id=batch.pk, **WHO)
        Chunk.objects.filter(batch=batch, state="ready").update(run_at=batch.created_at)
        while run := leased():
            run.succeeded += range(len(run.claim.ids))
            run.close()
            finish.finish(batches=run.claim.batch_ids)
        assert Batch.objects.get(pk=batch.pk).state == "completed"
        assert jobs == 8
        return ready

    def settle() -> None:
        run = now["run"]
        run.note(0, Fail("again"), 0.0)
        run.close()  # gives the other job back

    def claim_more() -> None:
        run = leased()
        if run is not None:
            run.note(0, Fail("again"), 0.0)
            run.close()

    def pause() -> None:
        pause_batch(batch_id=now["batch"].pk, **WHO)

    Team([settle, claim_more, pause]).rounds(ROUNDS, prepare)
    lost.append(judged(now["batch"]))
    assert lost == [[]] * ROUNDS
    assert_sound()
